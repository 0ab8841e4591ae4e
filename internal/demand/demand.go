// Package demand drives the job hook's machines: GitLab's events come in over
// HTTP, and each group's machine (life.JobHook) has its desired capacity raised.
//
// It guarantees that an event is answered at once, whatever AWS or GitLab's API do;
// that nothing of a request is read whose secret is wrong, and that neither answers
// nor logs nor the time that the comparison takes tell anything of it; that queues,
// caches and bodies are bounded, and that what had no room is counted and made good
// by asking GitLab. Whose a job is it tells by the job's tags.
//
// When to look at a group, how far to raise it, and what to believe is left to the
// machine; running it to package agent; what survives a restart to a [Store].
package demand

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// AWS is what is needed of Auto Scaling. Every method is safe to call again; errors
// are *fleet.Failure, anything else counts as Temporary.
type AWS interface {
	// Group reads one group whole, or fails; NotFound when there is none.
	Group(ctx context.Context, name string) (fleet.Group, error)
	// SetDesired is sent once; OutOfBounds outside of the group's bounds.
	SetDesired(ctx context.Context, group string, desired int) error
}

// GitLab is what is needed of GitLab's API, with a token that may read jobs.
type GitLab interface {
	// Jobs lists a project's jobs that wait or run, with their tags.
	Jobs(ctx context.Context, auth fleet.Token, project int64) (fleet.JobList, error)
	// Job reads one job; NotFound when there is none.
	Job(ctx context.Context, auth fleet.Token, project, id int64) (fleet.Job, error)
}

// Options are what a Service is made of.
type Options struct {
	Groups   []fleet.JobGroup         // a job is the first one's that takes it
	Untagged string                   // the group that takes jobs without tags; empty: none does but one that takes every job
	Slots    int                      // of an instance, for groups that do not say
	Forecast scaling.ForecastSettings // of what is raised ahead; Most is 0: nothing

	AWS   AWS
	Store Store
	// GitLab may be nil: then lost events stay lost until others come, and jobs whose
	// event does not tell their tags are a group's that takes every job.
	GitLab GitLab
	Token  func(context.Context) (fleet.Token, error) // for GitLab; asked for with each use

	Log *slog.Logger
}

// Service is the webhook.
type Service struct {
	Options
	groups   []*Group
	keys     keyring
	metrics  *metrics
	lookups  *lookups
	ready    atomic.Bool
	lists    sync.WaitGroup // under way
	listing  context.Context
	stopList context.CancelFunc

	// What anybody could have said as often as they like is said rarely.
	strangers, crowd, badEvents, lost, unplaced rarely
}

// New returns a service that does nothing yet.
func New(o Options) (*Service, error) {
	s := &Service{Options: o}
	for r, every := range map[*rarely]time.Duration{&s.strangers: time.Minute, &s.crowd: time.Minute, &s.badEvents: time.Minute, &s.lost: time.Minute, &s.unplaced: time.Hour} {
		r.every = every
	}
	s.metrics = newMetrics()
	s.listing, s.stopList = context.WithCancel(context.Background())
	s.keys.shuffle()
	for _, g := range o.Groups {
		if cmp.Or(g.Slots, o.Slots) < 1 {
			return nil, fmt.Errorf("group %q: how many jobs does an instance run at once?", g.Name)
		}
		if slices.ContainsFunc(s.groups, func(other *Group) bool { return other.Name == g.Name }) {
			return nil, fmt.Errorf("group %q is named twice", g.Name)
		}
		s.groups = append(s.groups, s.newGroup(g))
	}
	if len(s.groups) == 0 {
		return nil, errors.New("no group is named")
	}
	if o.Untagged != "" && s.named(o.Untagged) == nil {
		return nil, fmt.Errorf("jobs without tags are to be those of group %q, which is none of these", o.Untagged)
	}
	s.lookups = newLookups(s)
	return s, nil
}

func (s *Service) named(name string) *Group {
	for _, g := range s.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// SetSecrets replaces the secrets that a request may show: any of them is as good
// as the other, so that one can be changed while the other is still in use.
func (s *Service) SetSecrets(list []fleet.Token) { s.keys.set(list) }

// Group is one group with its machine.
type Group struct {
	fleet.JobGroup
	Machine *Machine
	Inbox   <-chan life.Event

	service *Service
	inbox   chan life.Event
	lost    losses
}

const (
	// queueMost bounds the events that wait for one group's machine: 5 MB of them, and
	// 20 where a job's name and stage are as long as they may be. It takes in some
	// hundred thousand a second, but not while it waits for AWS, which may be fifteen
	// seconds: at 2,000 a second that is all of this.
	queueMost = 30000
	// queueSpare is room for GitLab's lists, one at a time.
	queueSpare = 64
)

func (s *Service) newGroup(g fleet.JobGroup) *Group {
	g.Slots = cmp.Or(g.Slots, s.Slots)
	group := &Group{JobGroup: g, service: s, inbox: make(chan life.Event, queueMost+queueSpare)}
	group.Inbox = group.inbox
	group.Machine = &Machine{group: group, JobHook: life.NewJobHook(life.JobHookSettings{
		Group: g.Name, Slots: g.Slots, Reconcile: s.GitLab != nil, Forecast: s.Forecast,
		Seed: rand.Uint64(), //nolint:gosec // jitter, no secret
	})}
	s.metrics.watch(group)
	return group
}

// put hands an event to the machine. One that finds no room is dropped: nothing is
// lost by it that asking GitLab does not make good, and an answer that says no would
// have GitLab disable the hook after four of them.
func (g *Group) put(e life.Event) {
	if len(g.inbox) < queueMost {
		select {
		case g.inbox <- e:
			return
		default:
		}
	}
	g.service.metrics.dropped.WithLabelValues(dropQueue).Inc()
	g.lost.note(e)
}

// tell hands something to the machine that has room of its own.
func (g *Group) tell(e life.Event) {
	select {
	case g.inbox <- e:
	default: // it gives up waiting by itself
	}
}

// Machine is a group's machine, seen by the metrics.
type Machine struct {
	*life.JobHook
	group *Group

	pending, running, expected, hits, wastes atomic.Int64
}

// Step implements life.Machine.
func (m *Machine) Step(e life.Event, now time.Time) (*Machine, []life.Action) {
	actions := m.Take(e, now, nil)
	for _, lost := range m.losses(actions) {
		actions = m.Take(lost, now, actions[:len(actions)-1]) // which it asks for again
	}
	m.pending.Store(int64(m.Pending()))
	m.running.Store(int64(m.Running()))
	m.expected.Store(int64(m.Expected()))
	hits, wastes := m.Judged()
	m.hits.Store(int64(hits))
	m.wastes.Store(int64(wastes))
	return m, actions
}

// losses are what it is to be told of events that found no room, after an event that
// has led to actions. One that has ended is told nothing more.
func (m *Machine) losses(actions []life.Action) []life.Event {
	if _, ended := actions[len(actions)-1].(life.Exit); ended {
		return nil
	}
	return m.group.lost.take()
}

// Perform carries one action of a group's machine out. It returns what the machine
// is told, and whether anything outside was changed.
func (g *Group) Perform(ctx context.Context, a life.Action) (value any, changed bool, err error) {
	s := g.service
	switch a := a.(type) {
	case life.DescribeGroup:
		value, err = s.AWS.Group(ctx, a.Group)
		s.metrics.asked(g.Name, "look", err)
	case life.SetDesired:
		err = s.AWS.SetDesired(ctx, a.Group, a.Desired)
		s.metrics.asked(g.Name, "raise", err)
		return nil, true, err
	case life.LoadBacklog:
		value, err = s.Store.Load(ctx, a.Group)
	case life.SaveBacklog:
		err = s.Store.Save(ctx, a.Group, a.Backlog)
	case life.ListJobs:
		s.lists.Go(func() { s.list(g, a.Project) })
	default:
		panic(fmt.Sprintf("demand: no way to carry out %T", a))
	}
	return value, false, err
}

// listTimeout bounds a project's list, with all its pages.
const listTimeout = time.Minute

// list asks for a project's jobs and tells the machine which are its group's.
func (s *Service) list(g *Group, project int64) {
	ctx, cancel := context.WithTimeout(s.listing, listTimeout)
	defer cancel()
	e := life.JobsListed{Project: project}
	token, err := s.token(ctx)
	if err == nil {
		e.List, err = s.GitLab.Jobs(ctx, token, project)
	}
	e.List.Jobs = s.share(g, e.List.Jobs)
	e.Failure = fleet.AsFailure(fmt.Sprintf("list jobs of project %d", project), err)
	s.metrics.reconciled(g.Name, err)
	g.tell(e)
}

// token is what GitLab is asked with. That its secret is gone, or refused, is none of
// what GitLab says of a project.
func (s *Service) token(ctx context.Context) (fleet.Token, error) {
	t, err := s.Token(ctx)
	if f := fleet.AsFailure("read webhook.token", err); f != nil && (f.Kind == fleet.NotFound || f.Kind == fleet.Denied) {
		bad := *f
		bad.Kind = fleet.BadToken
		return t, &bad
	}
	return t, err
}

// share returns those of a list's jobs that are g's, and hands the others to theirs:
// a job that was taken for g's, as one of its name had been, is counted by nobody
// once g drops it, and its own group may never have heard of the project.
func (s *Service) share(g *Group, jobs []fleet.Job) []fleet.Job {
	own := make([]fleet.Job, 0, len(jobs))
	for _, j := range jobs {
		s.lookups.correct(j)
		owner := s.whose(j.Tags)
		j.Tags = nil // they told whose it is
		switch {
		case owner == g:
			own = append(own, j)
		case owner != nil && (j.State == fleet.JobPending || j.State == fleet.JobRunning):
			owner.put(life.JobEvent{Job: j})
		}
	}
	return own
}

// rarely lets one of many through.
type rarely struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
}

func (r *rarely) now() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.last.IsZero() || now.Sub(r.last) >= r.every {
		r.last = now
		return true
	}
	return false
}
