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

func (Started) event()     {}
func (Woke) event()        {}
func (Result) event()      {}
func (Interrupted) event() {}
