package world

import (
	"cmp"
	"slices"
	"time"
)

// Records is what a judge needs: everything that was, without anybody's word
// for it.
type Records struct {
	At        time.Time
	Groups    []GroupView      // as they are, never stale
	Instances []InstanceRecord // all there ever were, by launch
	Jobs      []Job            // all there ever were, by id
	Runners   []Runner         // those that are left, with their managers
	Calls     []Calls          // by API and operation
}

// Calls is how often an operation was called, refused and failed calls among them.
type Calls struct {
	API, Operation string
	Count          int
}

type callKey struct{ api, operation string }

// CountCall counts one call; the driver says what was called.
func (w *World) CountCall(api, operation string) { w.calls[callKey{api, operation}]++ }

// CallsTo is the sum of all calls to an API.
func (r Records) CallsTo(api string) int {
	n := 0
	for _, c := range r.Calls {
		if c.API == api {
			n += c.Count
		}
	}
	return n
}

// Records returns what a judge needs, as of now.
func (w *World) Records(now time.Time) Records {
	w.advance(now)
	r := Records{At: w.now, Jobs: w.Jobs(now), Runners: w.AllRunners(now), Calls: w.callList()}
	for _, g := range w.groups {
		r.Groups = append(r.Groups, g.view())
	}
	for _, m := range w.machines {
		r.Instances = append(r.Instances, m.record())
	}
	return r
}

func (w *World) callList() []Calls {
	out := make([]Calls, 0, len(w.calls))
	for k, n := range w.calls {
		out = append(out, Calls{API: k.api, Operation: k.operation, Count: n})
	}
	slices.SortFunc(out, func(a, b Calls) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Operation, b.Operation))
	})
	return out
}

// Instance is one instance's life; false when there never was one of this id.
func (w *World) Instance(now time.Time, id string) (InstanceRecord, bool) {
	w.advance(now)
	if m := w.byID[id]; m != nil {
		return m.record(), true
	}
	return InstanceRecord{}, false
}
