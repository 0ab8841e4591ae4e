package world

import (
	"slices"
	"time"
)

// Metadata is what the metadata service of one instance tells.
type Metadata struct {
	InstanceID, InstanceType, Region, Zone, AccountID string
	Group                                             string // the tag aws:autoscaling:groupName; empty where tags are not allowed
	Target                                            State  // target-lifecycle-state; empty: none
	Spot                                              *SpotNotice
	Rebalance                                         time.Time // noticeTime; zero: no recommendation
	Maintenance                                       []Maintenance
}

// Maintenance is a scheduled event.
type Maintenance struct {
	Code, State, Description, EventID string
	NotBefore, NotAfter               time.Time
}

// Metadata is what an instance's metadata service tells at now; false when there
// is no such instance or its machine does not run.
func (w *World) Metadata(now time.Time, id string) (Metadata, bool) {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.up {
		return Metadata{}, false
	}
	d := Metadata{
		InstanceID: m.ID, InstanceType: m.kind, Region: w.opt.Region, Zone: m.Zone, AccountID: w.opt.AccountID,
		Group: m.Group, Target: m.target, Rebalance: m.rebalance, Maintenance: slices.Clone(m.maintenance),
	}
	if m.group == nil || m.group.NoTagsInMetadata {
		d.Group = ""
	}
	if m.spot != nil {
		s := *m.spot
		d.Spot = &s
	}
	return d, true
}

// Signs is the part of the metadata that an instance asks for every few seconds:
// its target state and its spot interruption, nil for none.
func (w *World) Signs(now time.Time, id string) (target State, spot *SpotNotice, ok bool) {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.up {
		return "", nil, false
	}
	if m.spot != nil {
		s := *m.spot
		spot = &s
	}
	return m.target, spot, true
}

// RecommendRebalance has an instance's metadata recommend a rebalance.
func (w *World) RecommendRebalance(now time.Time, id string) error {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.DeadAt.IsZero() {
		return noInstance(id)
	}
	m.rebalance = w.now
	return nil
}

// ScheduleMaintenance has an instance's metadata tell of a scheduled event. An
// event with the id of an earlier one takes its place.
func (w *World) ScheduleMaintenance(now time.Time, id string, e Maintenance) error {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.DeadAt.IsZero() {
		return noInstance(id)
	}
	orString(&e.State, "active")
	orString(&e.EventID, "instance-event-0"+w.id(16))
	m.maintenance = slices.DeleteFunc(m.maintenance, func(o Maintenance) bool { return o.EventID == e.EventID })
	m.maintenance = append(m.maintenance, e)
	return nil
}
