package life

import "github.com/shoal-ci/shoal/internal/fleet"

// An Event is what a machine is told.
type Event interface{ event() }

// Started is a machine's first event, after its first start and after every
// kill alike.
type Started struct{}

// Woke answers a Sleep.
type Woke struct{}

// Result answers an action: with the value that the action's comment names, or
// with what failed.
type Result struct {
	Action  Action
	Value   any
	Failure *fleet.Failure
}

// Interrupted says that the process is asked to stop (SIGTERM, Ctrl-C). The
// machine answers with what must not be left undone, then Exit.
type Interrupted struct{}

// JobEvent says how far a job has come that is the machine's group's, by GitLab's
// job hook.
type JobEvent struct{ Job fleet.Job }

// JobsListed answers a ListJobs, some time later: with the project's jobs that are
// the machine's group's, or with what failed.
type JobsListed struct {
	Project int64
	List    fleet.JobList
	Failure *fleet.Failure
}

// EventsLost says that events may be missing: too many came at once, or nobody could
// tell whose they are.
type EventsLost struct{ Project int64 } // 0: of any

func (Started) event()     {}
func (Woke) event()        {}
func (Result) event()      {}
func (Interrupted) event() {}
func (JobEvent) event()    {}
func (JobsListed) event()  {}
func (EventsLost) event()  {}
