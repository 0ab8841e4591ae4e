package life

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Backlog is what the job hook's machine knows that a restart must not forget.
type Backlog struct {
	Projects []SeenProject `json:"projects"`
	Jobs     []KeptJob     `json:"jobs"`
}

// SeenProject is a project whose jobs were heard of.
type SeenProject struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`               // last
	Listed bool      `json:"listed,omitempty"` // GitLab has told its jobs
}

// projects are those that a reconciliation asks for.
type projects struct {
	seen  map[int64]time.Time
	asked map[int64]time.Time // those that were
	// listed are those that were seen with the token: of these alone a 404 says that they
	// are gone, and not that the token may not see them.
	listed map[int64]bool
}

const (
	projectsMost = 1000
	// projectsKept is how long a project is asked for after its last job.
	projectsKept = 24 * time.Hour
)

func newProjects() projects {
	return projects{map[int64]time.Time{}, map[int64]time.Time{}, map[int64]bool{}}
}

// note tells whether the project is a new one. The one that was not heard of for
// the longest makes room.
func (p *projects) note(id int64, now time.Time) bool {
	_, known := p.seen[id]
	p.seen[id] = now
	if len(p.seen) > projectsMost {
		p.drop(p.oldest())
	}
	return !known
}

func (p *projects) drop(id int64) {
	delete(p.seen, id)
	delete(p.asked, id)
	delete(p.listed, id)
}

// turn is whose turn it is to be asked for: those whose jobs are believed in before the
// others, but for a few places that are the others', and of these who was not asked for
// the longest; so that neither many projects nor a sick one keep any from it.
func (p *projects) turn(believed map[int64]bool) []int64 {
	all := maps.Clone(believed) // of some others have made the project go, but not its jobs
	for id := range p.seen {
		all[id] = believed[id]
	}
	maps.DeleteFunc(p.asked, func(id int64, _ time.Time) bool { _, ok := all[id]; return !ok })
	ids := slices.Collect(maps.Keys(all))
	slices.SortFunc(ids, func(a, b int64) int {
		if believed[a] != believed[b] {
			return map[bool]int{true: -1, false: 1}[believed[a]]
		}
		return cmp.Or(p.asked[a].Compare(p.asked[b]), p.seen[b].Compare(p.seen[a]), cmp.Compare(a, b))
	})
	if over := len(believed) - (roundMost - roundOthers); over > 0 { // the last of those make room
		at := len(believed)
		ids = slices.Concat(ids[:at-over], ids[at:min(len(ids), at+roundOthers)], ids[at-over:at])
	}
	return ids[:min(len(ids), roundMost)]
}

func (p *projects) oldest() (id int64) {
	for other, at := range p.seen {
		if was, ok := p.seen[id]; !ok || at.Before(was) || at.Equal(was) && other < id {
			id = other
		}
	}
	return id
}

// list is all of them, the last heard of first.
func (p *projects) list() []SeenProject {
	list := make([]SeenProject, 0, len(p.seen))
	for id, at := range p.seen {
		list = append(list, SeenProject{id, at.UTC(), p.listed[id]})
	}
	slices.SortFunc(list, func(a, b SeenProject) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return list
}

// resume takes in what was kept. For how long nobody has listened does not count: what has
// begun to wait meanwhile, GitLab alone can tell.
func (p *projects) resume(list []SeenProject, now time.Time) {
	var last time.Time
	for _, s := range list {
		last = later(last, kept(s.At, now))
	}
	for _, s := range list {
		s.At = kept(s.At, now).Add(now.Sub(last))
		if now.Sub(s.At) < projectsKept && len(p.seen) < projectsMost {
			p.seen[s.ID] = s.At
			if s.Listed {
				p.listed[s.ID] = true
			}
		}
	}
}

func (p *projects) forget(now time.Time) {
	for id, at := range p.seen {
		if now.Sub(at) > projectsKept {
			p.drop(id)
		}
	}
}

// round is a reconciliation: each project's jobs by GitLab's own list.
type round struct {
	at    time.Time // the next one; zero: none is wanted
	last  time.Time // the last one began
	news  bool      // something was heard since the last one began
	left  []int64   // projects that are still to be asked for; the first one is under way if asked is set
	asked time.Time
	found int  // jobs that had been lost, or had ended unheard
	told  bool // a list came
	// gone are the projects that GitLab had told of and does not know any more, and when
	// it was asked.
	gone map[int64]time.Time
	// hurried is how many in a row came soon, for lost events; hurry: the next one does.
	hurried int
	hurry   bool
	calm    time.Time // GitLab wants to be left alone until then
	// fails is how many lists in a row came to nothing in this round, failed how many
	// rounds: what was to be found out by them still is.
	fails, failed int
}

const (
	// roundEvery is the pace of reconciliations while jobs are believed in, and
	// roundJitter what is added by chance: several groups ask the same GitLab.
	roundEvery  = 4 * time.Minute
	roundJitter = time.Minute
	// roundStart spreads the first one after a restart.
	roundStart = 2 * time.Second
	// roundSoon is how soon after lost events, and roundLeast how long after the
	// round before: twice as long with each that follows another, up to the usual pace,
	// for some lose events without end, such as a project that the token may not see.
	roundSoon  = 5 * time.Second
	roundLeast = 30 * time.Second
	// roundMost bounds the projects of one round, at a request and more for each, and
	// roundOthers of it are for projects whose jobs are not believed in.
	roundMost   = 100
	roundOthers = 20
	// roundTries is after how many rounds that failed, an hour of them, GitLab is asked
	// once in roundSlow: for as long as it takes somebody to mend its API or the token. Not
	// where jobs are believed in: instances are launched beside what has ended long ago.
	roundTries = 12
	roundSlow  = time.Hour
	// failsMost is how many lists in a row may fail in a round: one project alone may be
	// sick, or too long to be listed in time.
	failsMost = 3
	// roundPatience is how long one project's list is waited for.
	roundPatience = 2 * time.Minute
)

func (r *round) project() int64 { return r.left[0] }

func (r *round) underWay() bool { return !r.asked.IsZero() }

func (r *round) next() time.Time {
	switch {
	case r.underWay():
		return r.asked.Add(roundPatience)
	case len(r.left) > 0:
		return r.last
	}
	return r.at
}

func (s *JobHook) note(project int64) {
	if s.places.note(project, s.now) {
		s.keepSoon()
	}
}

// schedule has a reconciliation come where one is wanted: while jobs are believed
// in, and once after the last news, which may have been followed by some that was
// lost.
func (s *JobHook) schedule() {
	if !s.set.Reconcile || len(s.round.left) > 0 {
		return
	}
	believed, every := s.jobs.believed(), roundEvery
	if s.round.failed >= roundTries && !believed {
		every = roundSlow
	}
	tooLate := believed && s.round.at.Sub(s.now) > roundEvery+roundJitter
	if s.round.at.IsZero() && (believed || s.round.news) || tooLate {
		s.round.at = later(s.now.Add(every+s.backoff.draw(roundJitter)), s.round.calm)
	}
}

// lost has GitLab asked soon: events are known to be missing.
func (s *JobHook) lost(e EventsLost) {
	if e.Project != 0 {
		s.note(e.Project)
	}
	s.round.news = true
	if !s.set.Reconcile {
		return
	}
	least := min(roundLeast<<min(s.round.hurried, 10), roundEvery)
	soon := later(s.now.Add(roundSoon+s.backoff.draw(roundSoon)), s.round.last.Add(least))
	if len(s.round.left) == 0 && (s.round.at.IsZero() || soon.Before(s.round.at)) {
		s.round.at, s.round.hurry = later(soon, s.round.calm), true
	}
}

// startRound tells whether a project is to be asked for now.
func (s *JobHook) startRound() bool {
	if s.round.underWay() {
		if s.now.Before(s.round.next()) {
			return false
		}
		s.roundFailed(&fleet.Failure{Op: fmt.Sprintf("list jobs of project %d", s.round.project()), Message: "no answer in time"})
	}
	if len(s.round.left) > 0 {
		return true
	}
	if !s.due(s.round.at) {
		return false
	}
	s.places.forget(s.now)
	hurried := 0
	if s.round.hurry {
		hurried = s.round.hurried + 1
	}
	s.round = round{last: s.now, failed: s.round.failed, hurried: hurried, calm: s.round.calm}
	believed := map[int64]bool{}
	for _, j := range s.jobs.all() {
		believed[j.Project] = true
	}
	s.round.left = s.places.turn(believed)
	return len(s.round.left) > 0
}

// listed takes a project's list in.
func (s *JobHook) listed(e JobsListed) {
	if !s.round.underWay() || s.round.project() != e.Project {
		return // one that was given up
	}
	asked := s.round.asked
	if e.Failure != nil {
		s.roundFailed(e.Failure)
		return
	}
	s.round.fails, s.round.failed, s.round.told = 0, 0, true
	if _, ok := s.places.seen[e.Project]; ok {
		s.places.listed[e.Project] = true
	}
	before := s.jobs.pending + s.jobs.running
	waits, ended := s.jobs.listed(e.Project, e.List, asked, s.now)
	for _, j := range e.List.Jobs {
		s.ahead.hear(j, true, s.now)
	}
	s.ended(ended)
	s.round.found += len(ended) + max(0, s.jobs.pending+s.jobs.running+len(ended)-before)
	if waits {
		s.openWindow()
	}
	s.keepSoon()
	s.nextProject()
}

// ended takes in that jobs have ended of which nobody has told.
func (s *JobHook) ended(jobs []fleet.Job) {
	for _, j := range jobs {
		j.Aside = true // nobody knows how long it took
		s.ahead.hear(j, true, s.now)
	}
}

// forgetGone drops the jobs of projects that were deleted: with a token that still sees
// others, a 404 for one that it has seen is none of the token's.
func (s *JobHook) forgetGone() {
	if !s.round.told {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.round.gone)) {
		_, ended := s.jobs.listed(id, fleet.JobList{Whole: true}, s.round.gone[id], s.now)
		s.ended(ended)
		s.places.drop(id)
		s.keepSoon()
		s.say(Warn, fmt.Sprintf("forget %d jobs of group %q", len(ended), s.set.Group), fleet.Reason(fmt.Sprintf("GitLab does not know project %d any more", id)))
	}
}

func (s *JobHook) nextProject() {
	s.round.asked = time.Time{}
	s.round.left = s.round.left[1:]
	if len(s.round.left) > 0 {
		return
	}
	s.forgetGone()
	if s.round.fails > 0 {
		s.round.failed++
	}
	if s.round.found > 0 {
		s.say(Info, fmt.Sprintf("reconciled group %q with GitLab", s.set.Group),
			fleet.Reason(fmt.Sprintf("%d jobs were not as the events had told", s.round.found)),
			fleet.Reason(fmt.Sprintf("%d pending, %d running", s.jobs.pending, s.jobs.running)))
	}
	s.round = round{last: s.round.last, news: s.round.news, failed: s.round.failed, hurried: s.round.hurried, calm: s.round.calm}
	s.schedule()
}

// roundFailed goes on with the next project where this one alone may be sick, and gives
// the round up where the next would fail alike.
func (s *JobHook) roundFailed(f *fleet.Failure) {
	level := Warn
	if f.Final() && f.Kind != fleet.NotFound {
		level = Error
	}
	s.fails(level, fmt.Sprintf("go on without GitLab's list of jobs in project %d", s.round.project()), f)
	if f.Kind == fleet.NotFound && s.places.listed[s.round.project()] {
		if s.round.gone == nil {
			s.round.gone = map[int64]time.Time{}
		}
		s.round.gone[s.round.project()] = s.round.asked
	}
	if f.Kind != fleet.NotFound && f.Kind != fleet.Denied {
		s.round.fails++
		s.round.news = true
	}
	s.round.calm = later(s.round.calm, s.now.Add(min(f.RetryAfter, retryAfterMost)))
	if s.round.fails >= failsMost || f.Kind == fleet.BadToken || f.Kind == fleet.Throttled {
		s.round.left = s.round.left[:1]
	}
	s.nextProject()
}

func (s *JobHook) backlog() Backlog {
	return Backlog{Projects: s.places.list(), Jobs: s.jobs.keep()}
}
