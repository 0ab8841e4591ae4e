package world

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// GroupSpec is what a group is made with.
type GroupSpec struct {
	Name              string
	Min, Max, Desired int
	Zones             []string      // default: three zones of the region
	TemplateVersion   string        // of the launch template; default "1"
	InstanceType      string        // default c7i.large
	Weight            int           // above 0: a mixed-instances policy gives this weight
	NewProtected      bool          // NewInstancesProtectedFromScaleIn
	HealthGrace       time.Duration // health checks that respect it are ignored this long after InService
	NoTagsInMetadata  bool          // the launch template does not allow tags in metadata
	Hooks             []Hook
	Warm              *WarmPool // nil: none
}

// WarmPool is a pool of instances that were made ready ahead.
type WarmPool struct {
	Size  int
	State State // WarmedStopped (default) or WarmedRunning
}

// GroupView is what DescribeAutoScalingGroups shows of a group.
type GroupView struct {
	Name, ARN         string
	Min, Max, Desired int
	Zones             []string
	Template          string // name of the launch template
	TemplateVersion   string
	InstanceType      string
	Weight            int
	NewProtected      bool
	HealthGrace       time.Duration
	Suspended         []string
	CreatedAt         time.Time
	Instances         []InstanceView // in the order of their launch
}

type group struct {
	GroupSpec
	arn       string
	createdAt time.Time
	hooks     []Hook
	suspended []string
	members   []*machine // warm pool among them
	reaction  *timer
	stuck     bool // said that all that remain are protected
	past      []snapshot
	activity  []*Activity // oldest first
	deleted   bool
}

type snapshot struct {
	at   time.Time
	view GroupView
}

// CreateGroup makes a group; it launches what is desired.
func (w *World) CreateGroup(now time.Time, s GroupSpec) error {
	w.advance(now)
	if s.Name == "" {
		return invalid("1 validation error detected: Value at 'autoScalingGroupName' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	if w.group(s.Name) != nil {
		return &APIError{Code: "AlreadyExists", Message: "AutoScalingGroup by this name already exists - A group with the name " + s.Name + " already exists"}
	}
	if err := bounds(s.Min, s.Max, s.Desired); err != nil {
		return err
	}
	if len(s.Zones) == 0 {
		s.Zones = []string{w.opt.Region + "a", w.opt.Region + "b", w.opt.Region + "c"}
	}
	orString(&s.TemplateVersion, "1")
	orString(&s.InstanceType, "c7i.large")
	g := &group{GroupSpec: s, createdAt: w.now}
	g.arn = fmt.Sprintf("arn:aws:autoscaling:%s:%s:autoScalingGroup:%s:autoScalingGroupName/%s", w.opt.Region, w.opt.AccountID, w.uuid(), s.Name)
	for _, h := range s.Hooks {
		g.hooks = append(g.hooks, h.withDefaults())
	}
	w.groups = append(w.groups, g)
	w.reconcileSoon(g)
	w.remember()
	return nil
}

func (w *World) uuid() string {
	h := w.id(32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func bounds(low, high, desired int) error {
	if low < 0 || high < low {
		return invalid("Max bound, %d, must be greater than or equal to min bound, %d", high, low)
	}
	if desired < low || desired > high {
		return invalid("Desired capacity:%d must be between the specified min size:%d and max size:%d", desired, low, high)
	}
	return nil
}

// GroupUpdate is what UpdateAutoScalingGroup may change; nil leaves as it is.
type GroupUpdate struct {
	Min, Max, Desired *int
	NewProtected      *bool
	TemplateVersion   *string
	HealthGrace       *time.Duration
}

// UpdateGroup changes a group. Desired follows new bounds where it is not given.
func (w *World) UpdateGroup(now time.Time, name string, u GroupUpdate) error {
	g, err := w.enter(now, name)
	if err != nil {
		return err
	}
	low, high, desired := orInt(u.Min, g.Min), orInt(u.Max, g.Max), orInt(u.Desired, g.Desired)
	if u.Desired == nil {
		desired = min(max(desired, low), high)
	}
	if err := bounds(low, high, desired); err != nil {
		return err
	}
	g.Min, g.Max = low, high
	if u.NewProtected != nil {
		g.NewProtected = *u.NewProtected
	}
	if u.TemplateVersion != nil {
		g.TemplateVersion = *u.TemplateVersion
	}
	if u.HealthGrace != nil {
		g.HealthGrace = *u.HealthGrace
	}
	w.setDesired(g, desired, "UpdateAutoScalingGroup")
	w.remember()
	return nil
}

func orInt(p *int, d int) int {
	if p != nil {
		return *p
	}
	return d
}

// DeleteGroup removes a group; one with instances only by force, which
// terminates them without asking any hook.
func (w *World) DeleteGroup(now time.Time, name string, force bool) error {
	g, err := w.enter(now, name)
	if err != nil {
		return err
	}
	if len(g.members) > 0 && !force {
		return &APIError{Code: "ResourceInUse", Message: "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group."}
	}
	g.deleted = true
	g.reaction.stop()
	for _, m := range slices.Clone(g.members) {
		m.leaving(ReasonDeleted, w.now)
		w.proceed(m)
	}
	w.groups = slices.DeleteFunc(w.groups, func(o *group) bool { return o == g })
	return nil
}

// SetDesired is SetDesiredCapacity.
func (w *World) SetDesired(now time.Time, name string, desired int) error {
	g, err := w.enter(now, name)
	if err != nil {
		return err
	}
	if desired > g.Max {
		return invalid("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", desired, g.Max)
	}
	if desired < g.Min {
		return invalid("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", desired, g.Min)
	}
	w.setDesired(g, desired, "SetDesiredCapacity")
	w.remember()
	return nil
}

func (w *World) setDesired(g *group, desired int, by string) {
	if desired != g.Desired {
		w.emit(CapacityChanged{At: w.now, Group: g.Name, From: g.Desired, To: desired, By: by})
	}
	g.Desired = desired
	w.reconcileSoon(g)
}

// Groups describes the groups of these names in the order of their making; no
// name means all. Unknown names are left out, as AWS does.
func (w *World) Groups(now time.Time, names ...string) []GroupView {
	w.advance(now)
	var out []GroupView
	for _, g := range w.groups {
		if len(names) == 0 || slices.Contains(names, g.Name) {
			out = append(out, g.asOf(w.now.Add(-w.stale), w))
		}
	}
	return out
}

// asOf is the group as it was at t. Before its first picture it is as new.
func (g *group) asOf(t time.Time, w *World) GroupView {
	if w.stale <= 0 || len(g.past) == 0 {
		return g.view()
	}
	i := 0
	for i+1 < len(g.past) && !g.past[i+1].at.After(t) {
		i++
	}
	return g.past[i].view
}

// remember takes a picture of every group, where pictures are served late.
func (w *World) remember() {
	if w.opt.Staleness <= 0 {
		return
	}
	for _, g := range w.groups {
		old := w.now.Add(-w.opt.Staleness)
		for len(g.past) > 1 && !g.past[1].at.After(old) {
			g.past = g.past[1:]
		}
		g.past = append(g.past, snapshot{at: w.now, view: g.view()})
	}
}

func (g *group) view() GroupView {
	v := GroupView{
		Name: g.Name, ARN: g.arn, Min: g.Min, Max: g.Max, Desired: g.Desired,
		Zones: slices.Clone(g.Zones), Template: g.Name, TemplateVersion: g.TemplateVersion,
		InstanceType: g.InstanceType, Weight: g.Weight, NewProtected: g.NewProtected,
		HealthGrace: g.HealthGrace, Suspended: slices.Clone(g.suspended), CreatedAt: g.createdAt,
		Instances: make([]InstanceView, 0, len(g.members)),
	}
	for _, m := range g.members {
		if !m.state.InWarmPool() {
			v.Instances = append(v.Instances, m.view())
		}
	}
	return v
}

// Suspend stops processes of a group: Launch, Terminate or ReplaceUnhealthy.
func (w *World) Suspend(now time.Time, name string, processes ...string) error {
	g, err := w.enter(now, name)
	if err != nil {
		return err
	}
	for _, p := range processes {
		if !g.isSuspended(p) {
			g.suspended = append(g.suspended, p)
		}
	}
	slices.Sort(g.suspended)
	return nil
}

// Resume lets suspended processes go on; no name means all.
func (w *World) Resume(now time.Time, name string, processes ...string) error {
	g, err := w.enter(now, name)
	if err != nil {
		return err
	}
	g.suspended = slices.DeleteFunc(g.suspended, func(p string) bool {
		return len(processes) == 0 || slices.Contains(processes, p)
	})
	w.reconcileSoon(g)
	return nil
}

func (g *group) isSuspended(process string) bool {
	return slices.ContainsFunc(g.suspended, func(p string) bool { return strings.EqualFold(p, process) })
}

// enter brings the world to now and finds a group.
func (w *World) enter(now time.Time, name string) (*group, error) {
	w.advance(now)
	if g := w.group(name); g != nil {
		return g, nil
	}
	return nil, noGroup(name)
}

func (w *World) group(name string) *group {
	for _, g := range w.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}
