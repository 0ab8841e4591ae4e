package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// ReapSettings are what an operator can set.
type ReapSettings struct {
	Groups        []string // the groups to reap for; others' runners are left alone
	LaunchHook    string   // empty: the only one
	TerminateHook string
	Token         string          // where the token is that lists and deletes; empty: runners are left alone
	Where         fleet.NewRunner // whose runners are listed: type and id
	Every         time.Duration   // between rounds; 0: once, with a second look where one is needed
	DryRun        bool
	Seed          uint64
}

// Reap deletes runners in GitLab whose instance is gone, and completes the hooks
// of instances that died in them.
//
// It guarantees that nothing is done about an instance that was not gone in two
// rounds at least four minutes apart, by EC2's own word and the group's; that a
// group which could not be read in a round is left alone in it; and that only
// runners are deleted whose description names one of its groups and such an
// instance, and which nobody has used since. What it saw is kept in memory
// alone: killed at any point it looks twice again.
type Reap struct {
	flow
	set   ReapSettings
	token fleet.Token
	told  []string // failures that were said and are not over
	kept  []int64  // runners of which was said that they stay

	rounds  int
	began   time.Time // of the present round
	trouble ExitCode  // the worst that it met
	marks   []mark    // instances that are gone, by id

	at      int           // the group, or the first of the batch, that is asked for
	groups  []fleet.Group // that could be read in this round
	asTold  bool          // the token was read in this round
	listed  bool          // the runners were listed whole
	page    string
	pages   int
	ours    []ours
	before  []ours              // of the round before: of instances that were gone, and not deleted
	asked   []string            // instances to ask EC2 about
	known   []fleet.EC2Instance // those that it knows
	dead    []member            // members that died in their hook
	work    []fleet.Leftover    // to be done in this round, in this order
	soon    int                 // gone, but not for long enough
	deleted []int64             // in this round
	found   []fleet.Leftover    // of all rounds, for the report
}

// ours is a runner that one of our instances made.
type ours struct {
	id              int64
	group, instance string
	unlisted        bool // in this round: it was in the one before
}

// mark is an instance that is gone, and when that was first seen.
type mark struct {
	group, instance string
	since           time.Time
	why             string
}

// member is an instance in a group.
type member struct {
	group string
	fleet.Instance
}

const (
	// reapApart is the least time between the two rounds: longer than any listing
	// of AWS' stays stale, and than a launch takes to be in all of them.
	reapApart = 4 * time.Minute
	// reapJitter keeps reapers that were started together from asking together.
	reapJitter = 30 * time.Second
	// reapLeast is the least pause between rounds, should one take long.
	reapLeast = time.Minute
	// reapTries is how often a request is tried before the round goes on without.
	reapTries = 5
	// reapMost bounds what one round deletes. A mistake in it, whosever, shall not
	// take a whole fleet at once.
	reapMost = 200
	// reapPause is between deletions: 120 a minute is a fraction of what GitLab.com
	// allows one user, and the instances share the rest.
	reapPause = 500 * time.Millisecond
	// reapPages bounds a listing: a server that pages for ever must not hold us.
	reapPages = 200
	// reapBatch is how many instances one request asks for; EC2 takes 200.
	reapBatch = 100
	// reapKeeps bounds the report of a daemon.
	reapKeeps = 1000
)

// NewReap returns the machine before its first event.
func NewReap(set ReapSettings) Reap {
	return Reap{flow: flow{verb: "reap", backoff: backoff{seed: set.Seed}}, set: set}
}

const (
	reapGroup     phase = "look at a group"
	reapToken     phase = "token"
	reapList      phase = "list runners"
	reapInstances phase = "ask EC2"
	reapHooks     phase = "hooks"
	reapLook      phase = "look at the runner again"
	reapDelete    phase = "delete the runner"
	reapComplete  phase = "complete the hook"
	reapRest      phase = "rest"
)

// Step implements Machine.
func (s Reap) Step(e Event, now time.Time) (Reap, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *Reap) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok && r.Failure != nil:
		s.failed(r.Failure)
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.startRound()
	case e == Event(Interrupted{}):
		s.stopped()
	}
	return s.next(s.ask)
}

func (s *Reap) ask() Action {
	if s.phase == reapRest {
		s.startRound()
	}
	switch s.phase {
	case reapGroup:
		return DescribeGroup{s.set.Groups[s.at]}
	case reapToken:
		return ResolveSecret{s.set.Token}
	case reapList:
		return ListRunners{s.token, s.set.Where, s.page}
	case reapInstances:
		return DescribeInstances{s.batch()}
	case reapHooks:
		return DescribeHooks{s.dead[0].group}
	case reapLook:
		return ReadRunner{s.token, s.work[0].Runner}
	case reapDelete:
		return DeleteRunnerByID{s.token, s.work[0].Runner}
	}
	return s.complete()
}

// startRound forgets all but what was seen gone.
func (s *Reap) startRound() {
	s.rounds++
	s.began, s.trouble = s.now, Done
	s.at, s.groups, s.asTold, s.listed, s.page, s.pages = 0, nil, false, false, "", 0
	s.before = s.leftBehind()
	s.ours, s.asked, s.known, s.dead, s.work, s.soon = nil, nil, nil, nil, nil, 0
	s.goTo(reapGroup)
}

// leftBehind are the runners of a round that are still to be deleted.
func (s *Reap) leftBehind() []ours {
	var left []ours
	for _, o := range s.ours {
		if !o.unlisted && s.marked(o.instance) && !slices.Contains(s.deleted, o.id) {
			left = append(left, o)
		}
	}
	s.deleted = nil
	return left
}

func (s *Reap) got(r Result) {
	switch s.phase {
	case reapGroup:
		s.groups = append(slices.Clip(s.groups), value[fleet.Group](r))
		s.nextGroup()
	case reapToken:
		s.token, s.asTold = value[fleet.Token](r), true
		s.goTo(reapList)
	case reapList:
		s.gotPage(value[fleet.RunnerPage](r))
	case reapInstances:
		s.gotInstances(value[[]fleet.EC2Instance](r))
	case reapHooks:
		s.gotHooks(value[[]fleet.Hook](r))
	case reapLook:
		s.gotRunner(value[fleet.RunnerDetails](r))
	case reapDelete, reapComplete:
		s.did("")
	}
}

func (s *Reap) nextGroup() {
	s.at++
	switch {
	case s.at < len(s.set.Groups):
		s.goTo(reapGroup)
	case len(s.groups) == 0: // nothing can be judged
		s.endRound()
	case s.set.Token == "":
		s.askEC2()
	case s.token.IsZero():
		s.goTo(reapToken)
	default:
		s.goTo(reapList)
	}
}

// gotPage takes a page in. A list that changes while it is paged may leave a
// runner out or show it twice: neither makes an instance look gone.
func (s *Reap) gotPage(p fleet.RunnerPage) {
	s.ours = slices.Clone(s.ours)
	for _, r := range p.Runners {
		group, instance, ok := splitDescription(r.Description)
		o := ours{id: r.ID, group: group, instance: instance}
		if ok && s.read(group) != nil && !slices.Contains(s.ours, o) {
			s.ours = append(s.ours, o)
		}
	}
	s.page = p.Next
	s.pages++
	switch {
	case p.Next == "":
		s.listed = true
		s.recall()
		s.askEC2()
	case s.pages == reapPages:
		s.failed(&fleet.Failure{
			Kind: fleet.Invalid, Op: "list runners", Message: fmt.Sprintf("the list has more than %d pages", reapPages),
			Mend: "have gitlab.runner_type and its id name the place where Shoal makes its runners",
		})
	default:
		s.goTo(reapList)
	}
}

// recall adds what the list has left out, once: runners that others delete between two
// pages shift those behind them. Whether it is still there GitLab is asked by its
// number, before it is deleted.
func (s *Reap) recall() {
	for _, o := range s.before {
		if !slices.Contains(s.ours, o) && s.read(o.group) != nil {
			o.unlisted = true
			s.ours = append(s.ours, o)
		}
	}
}

// askEC2 goes on to EC2, where there is anything to ask it.
func (s *Reap) askEC2() {
	s.asked, s.at = s.questions(), 0
	if len(s.asked) == 0 {
		s.judge()
		return
	}
	s.goTo(reapInstances)
}

func (s *Reap) batch() []string {
	return s.asked[s.at:min(s.at+reapBatch, len(s.asked))]
}

func (s *Reap) gotInstances(list []fleet.EC2Instance) {
	s.known = append(slices.Clip(s.known), list...)
	s.at += reapBatch
	if s.at < len(s.asked) {
		s.goTo(reapInstances)
		return
	}
	s.judge()
}

// endRound rests until the next round, or ends.
func (s *Reap) endRound() {
	if s.trouble == Done {
		s.told = nil
	}
	switch {
	case s.set.Every > 0:
		s.goTo(reapRest)
		s.notBefore = later(s.began.Add(s.set.Every+s.backoff.draw(reapJitter)), s.now.Add(min(reapLeast, s.set.Every)))
	case s.set.DryRun:
		s.finish(s.trouble, s.summary())
	case s.rounds == 1 && s.soon > 0:
		s.say(Info, fmt.Sprintf("look again in %s before anything is done", reapApart), fleet.Reason(fmt.Sprintf("%d instances seem gone", len(s.marks))))
		s.goToAfter(reapRest, reapApart)
	case s.soon > 0 && s.trouble != Refused: // seen gone in the second round only, or too many for one
		s.finish(TryAgain, fmt.Sprintf("%s; %d are left for the next time", s.summary(), s.soon))
	default:
		s.finish(s.trouble, s.summary())
	}
}

func (s *Reap) stopped() {
	if s.set.Every == 0 && (s.soon > 0 || len(s.work) > 0) {
		s.finish(TryAgain, "stopped before it was done: "+s.summary())
		return
	}
	s.finish(Done, "stopped: "+s.summary())
}

func (s *Reap) finish(code ExitCode, summary string) {
	s.exit = &Exit{Code: code, Summary: summary, Report: slices.Clone(s.found)}
}

// summary is one line for a person.
func (s *Reap) summary() string {
	runners, hooks, left := 0, 0, 0
	for _, f := range s.found {
		switch {
		case !f.Done:
			left++
		case f.Runner != 0:
			runners++
		default:
			hooks++
		}
	}
	if s.set.DryRun {
		return fmt.Sprintf("dry run: %d runners and hooks of instances that are gone, nothing done", left)
	}
	return fmt.Sprintf("deleted %d runners, completed %d hooks", runners, hooks)
}
