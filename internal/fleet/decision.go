package fleet

import "strings"

// Decision is one thing that was decided, with what it saw and why: one log
// line, and one line in the demo.
type Decision struct {
	Verb    string   // the machine that decided: init, monitor, scale-up, lifecycle-check, unregister
	Action  string   // what was decided, in the field's words: "raise desired 2 → 5"
	Reasons []Reason // what it saw and why, in the order in which it weighed
}

// Reason is one ground of a decision: a short text with its figures in it.
type Reason string

// String is the decision as one line.
func (d Decision) String() string {
	if len(d.Reasons) == 0 {
		return d.Action
	}
	parts := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		parts[i] = string(r)
	}
	return d.Action + ": " + strings.Join(parts, "; ")
}
