package life

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// finder finds out who this instance is and in which group: from the file that
// init left, else from the metadata and, where tags are not allowed there, from
// Auto Scaling.
type finder struct {
	configured string // group.name, when the configuration names it
	who        Whoami
	stage      finderStage
}

type finderStage int

const (
	fromFile finderStage = iota
	fromMetadata
	fromGroup
	found
)

// ask returns the next request; only while stage is not found.
func (f *finder) ask() Action {
	switch f.stage {
	case fromFile:
		return ReadWhoami{}
	case fromMetadata:
		return ReadIdentity{}
	}
	return FindGroup{f.who.Identity.InstanceID}
}

// got takes an answer in.
func (f *finder) got(r Result) *fleet.Failure {
	if r.Failure != nil {
		if f.stage == fromFile { // a file that cannot be read is as good as none
			f.stage = fromMetadata
			return nil
		}
		return r.Failure
	}
	switch v := r.Value.(type) {
	case *Whoami:
		f.stage = fromMetadata
		if v != nil && v.Group != "" && v.Identity.InstanceID != "" {
			f.who, f.stage = *v, found
			if f.configured != "" { // it may have been changed since
				f.who.Group = f.configured
			}
		}
	case fleet.Identity:
		f.identified(v)
	case string:
		f.who.Group, f.stage = v, found
	}
	return nil
}

func (f *finder) identified(id fleet.Identity) {
	f.who.Identity, f.stage = id, fromGroup
	for _, name := range []string{f.configured, id.GroupTag} {
		if name != "" {
			f.who.Group, f.stage = name, found
			return
		}
	}
}

// value returns a result's value as a T: an interpreter that answers with
// another type has a defect that must not pass for a zero value.
func value[T any](r Result) T {
	v, ok := r.Value.(T)
	if !ok && r.Value != nil {
		panic(fmt.Sprintf("life: %T answered with %T", r.Action, r.Value))
	}
	return v
}
