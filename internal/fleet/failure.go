package fleet

import (
	"errors"
	"time"
)

// FailureKind sorts the ways in which the outside fails by what follows.
type FailureKind string

// The kinds. The zero value is Temporary on purpose: what nobody classified is
// tried again, never believed.
const (
	// Temporary: network, time-outs, 5xx, bodies that do not parse. Whether the
	// effect took place is unknown. Try again with backoff.
	Temporary FailureKind = ""
	// Throttled: try again, not before RetryAfter where it is given. Pending
	// updates of a group (ResourceContention) count here.
	Throttled FailureKind = "throttled"
	// Denied: a permission or scope is missing. Mend says which.
	Denied FailureKind = "denied"
	// BadToken: GitLab does not accept the token itself (revoked, expired, unknown).
	BadToken FailureKind = "bad token"
	// NotFound: what was addressed does not exist (any longer).
	NotFound FailureKind = "not found"
	// NotWaiting: no lifecycle action of this instance waits at this hook.
	NotWaiting FailureKind = "not waiting"
	// OutOfBounds: the group's minimum or maximum forbids it.
	OutOfBounds FailureKind = "out of bounds"
	// Invalid: the request is refused and would be refused again.
	Invalid FailureKind = "invalid"
	// Local: this machine could not do it (disk full, no such unit).
	Local FailureKind = "local"
)

// Failure is an error that the core can decide on. Edges return it (wrapped or
// not); anything else counts as Temporary.
type Failure struct {
	Kind       FailureKind
	Op         string        // operation and object: `set desired capacity of group "ci"`
	Message    string        // what the other side said, bounded, without secrets
	Mend       string        // what a person can do; empty when nothing
	RetryAfter time.Duration // from a Retry-After; 0 when none was given
	Err        error         // the cause; may be nil
}

// Error is one line: operation, message, and the way to mend it.
func (f *Failure) Error() string {
	s := f.Op
	if f.Message != "" {
		s += ": " + f.Message
	} else if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	if f.Mend != "" {
		s += " (" + f.Mend + ")"
	}
	return s
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// AsFailure returns err as a Failure; op names the operation of an error that
// nobody classified. Nil gives nil.
func AsFailure(op string, err error) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Kind: Temporary, Op: op, Message: err.Error(), Err: err}
}

// Final tells whether trying again, unchanged, is pointless.
func (f *Failure) Final() bool {
	switch f.Kind {
	case Denied, BadToken, NotFound, Invalid:
		return true
	}
	return false
}
