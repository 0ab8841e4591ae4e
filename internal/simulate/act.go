package simulate

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// do carries one action out, as the edges would.
func (l *loop) do(p *process, a life.Action) (any, *fleet.Failure) {
	i := p.in
	switch a := a.(type) {
	case life.ReadFlags:
		return i.readFlags(p), nil
	case life.ScrapeMetrics:
		if len(i.onPage) > 0 {
			i.seesPage()
		}
		return i.runner.observe()
	case life.ReadSpot:
		_, spot, ok := l.world.Signs(l.now, i.id)
		if !ok {
			return nil, noAnswer(a)
		}
		if spot == nil {
			return noSpot, nil
		}
		i.sees(Spot, SpotLate, SpotAgain)
		i.seesTime()
		return &fleet.SpotAction{Action: spot.Action, Time: p.toOwn(spot.Time)}, nil
	case life.ReadTarget:
		target, _, ok := l.world.Signs(l.now, i.id)
		if !ok {
			return nil, noAnswer(a)
		}
		if len(i.unseen)+len(l.pending) > 0 {
			l.seesTarget(i, target)
		}
		return targetValue(target), nil
	}
	switch classOf(a) {
	case metadata:
		return l.doMetadata(p, a)
	case aws:
		l.callsAWS++
		i.callsAWS++
		v, err := l.doAutoScaling(p, a)
		f := awsFailure(nameOf(a), err)
		l.did(p, a, f)
		return v, f
	case secret:
		return fleet.NewToken(l.tokens.at(a)), nil
	case gitlab:
		l.callsGitLab++
		i.callsGitLab++
		v, err := l.doGitLab(p, a)
		f := gitlabFailure(a, err)
		switch {
		case f == nil:
		case i.isReaper():
			l.refusesReaper(f)
		default:
			i.refusedCall(a)
		}
		l.did(p, a, f)
		return v, f
	case units:
		return l.doUnits(p, a)
	}
	return l.doFiles(p, a)
}

// did logs an effect.
func (l *loop) did(p *process, a life.Action, f *fleet.Failure) {
	what := detail(a)
	if f != nil {
		what += " → " + f.Error()
	}
	l.line(l.at, "i%02d %s does %s%s", p.in.number, p.verb, nameOf(a), orEmpty(" ", what))
}

var noSpot any = (*fleet.SpotAction)(nil)

// targets are the target states as results, made once.
var targets = map[world.State]any{
	"": fleet.LifecycleState(""), world.InService: fleet.InService, world.Terminated: fleet.Terminated,
	world.Standby: fleet.Standby, world.Detached: fleet.Detached,
}

func targetValue(s world.State) any {
	if s == world.InService {
		return inService
	}
	return targets[s]
}

var inService = targets[world.InService]

// toOwn is a moment that the outside tells, on a process's own clock: within a
// process only what its monotonic reading says counts, and the outside is
// compared with the wall clock of now.
func (p *process) toOwn(t time.Time) time.Time {
	return t.Add(p.offset - p.in.offset)
}

// toWall is a moment on a process's own clock as its wall clock tells it now.
func (p *process) toWall(t time.Time) time.Time { return t.Add(p.in.offset - p.offset) }

func (l *loop) doMetadata(p *process, a life.Action) (any, *fleet.Failure) {
	m, ok := l.world.Metadata(l.now, p.in.id)
	if !ok {
		return nil, noAnswer(a)
	}
	switch a.(type) {
	case life.ReadIdentity:
		return fleet.Identity{InstanceID: m.InstanceID, InstanceType: m.InstanceType, Region: m.Region, AvailabilityZone: m.Zone, AccountID: m.AccountID, GroupTag: m.Group}, nil
	case life.ReadRebalance:
		if !m.Rebalance.IsZero() {
			p.in.sees(Rebalance, SpotAgain)
		}
		return !m.Rebalance.IsZero(), nil
	case life.ReadMaintenance:
		var events []fleet.MaintenanceEvent
		if len(m.Maintenance) > 0 {
			p.in.sees(Maintenance)
			p.in.seesTime()
		}
		for _, e := range m.Maintenance {
			events = append(events, fleet.MaintenanceEvent{ID: e.EventID, Code: e.Code, State: e.State, Description: e.Description, NotBefore: p.toOwn(e.NotBefore)})
		}
		return events, nil
	}
	panic("simulate: no such metadata: " + nameOf(a))
}

func (l *loop) doAutoScaling(p *process, a life.Action) (any, error) {
	w := l.world
	w.CountCall("autoscaling", nameOf(a))
	switch a := a.(type) {
	case life.FindGroup:
		if list := w.Instances(l.now, a.InstanceID); len(list) > 0 {
			return list[0].Group, nil
		}
		return nil, &world.APIError{Code: "NotFound", Message: "instance id not found: it is in no Auto Scaling group"}
	case life.DescribeGroup:
		if p.in.isHook() {
			l.webhook.keepsQuiet("looks at the group")
		}
		v, f := l.listing(p, nil)
		if f != nil {
			return nil, f
		}
		return v, nil
	case life.DescribeHooks:
		hooks, err := w.Hooks(l.now, a.Group)
		out := make([]fleet.Hook, 0, len(hooks))
		for _, h := range hooks {
			out = append(out, fleet.Hook{Name: h.Name, Transition: fleet.Transition(h.Transition), HeartbeatTimeout: h.HeartbeatTimeout, GlobalTimeout: h.GlobalTimeout(), DefaultResult: fleet.HookResult(h.DefaultResult)})
		}
		return out, err
	case life.DescribeActivities:
		list, err := w.Activities(l.now, a.Group)
		p.in.seesTime()
		return p.activities(list), err
	case life.Heartbeat:
		p.in.heartbeats++
		return nil, w.Heartbeat(l.now, a.Hook.Group, a.Hook.Hook, a.Hook.InstanceID)
	case life.CompleteHook:
		if p.in.isReaper() {
			return nil, l.frees(p, a)
		}
		return nil, l.completes(p, a)
	case life.DescribeInstances:
		return l.ec2(p, a.IDs), nil
	case life.SetDesired:
		return nil, l.raises(p, a)
	case life.SetProtection:
		return nil, l.protects(p, a)
	case life.TerminateSelf:
		return nil, l.terminates(p, a)
	case life.SetUnhealthy:
		return nil, l.condemns(p, a)
	}
	panic("simulate: no such call: " + nameOf(a))
}

// activities are those of the last quarter of an hour, and a page at least, the newest
// first. The edge takes out what the two clocks differ by.
func (p *process) activities(list []world.Activity) []fleet.Activity {
	const page, recent = 100, 15 * time.Minute
	n := min(len(list), page)
	for n < min(len(list), 5*page) && p.in.l.now.Sub(list[n].Start) < recent {
		n++
	}
	out := make([]fleet.Activity, 0, n)
	for _, a := range list[:n] {
		out = append(out, fleet.Activity{ID: a.ID, InstanceID: a.InstanceID, Description: a.Description, Cause: a.Cause, Start: a.Start.Add(p.offset), End: p.ended(a), Status: a.Status})
	}
	slices.SortStableFunc(out, func(a, b fleet.Activity) int { return b.Start.Compare(a.Start) })
	return out
}

// ended is when an activity was over, by the process's clock.
func (p *process) ended(a world.Activity) time.Time {
	if a.End.IsZero() {
		return time.Time{}
	}
	return a.End.Add(p.offset)
}

// picture is the group as it was at a time.
type picture struct {
	at   time.Duration
	view fleet.Group
}

// picture takes one: the group has just changed.
func (l *loop) picture() {
	groups := l.world.Groups(l.now, groupName)
	if len(groups) == 0 {
		return
	}
	p := picture{l.at, groupOf(groups[0])}
	n := len(l.pictures)
	switch {
	case n > 0 && l.pictures[n-1].at == l.at:
		l.pictures[n-1] = p
		return
	case n > 0 && alike(l.pictures[n-1].view, p.view): // an older one is no other
		return
	}
	l.pictures = append(l.pictures, p)
	if len(l.pictures) > 512 { // more than any listing's age
		l.pictures = append([]picture(nil), l.pictures[256:]...)
	}
}

// alike tells whether two pictures show the same.
func alike(a, b fleet.Group) bool {
	return a.Min == b.Min && a.Max == b.Max && a.Desired == b.Desired && a.TemplateVersion == b.TemplateVersion && slices.Equal(a.Instances, b.Instances)
}

func groupOf(v world.GroupView) fleet.Group {
	g := fleet.Group{Name: v.Name, ARN: v.ARN, Min: v.Min, Max: v.Max, Desired: v.Desired, TemplateVersion: v.TemplateVersion, Weighted: v.Weight > 0, Instances: make([]fleet.Instance, 0, len(v.Instances))}
	for _, i := range v.Instances {
		g.Instances = append(g.Instances, fleet.Instance{ID: i.ID, AvailabilityZone: i.Zone, State: fleet.LifecycleState(i.State), Protected: i.Protected, Healthy: i.Healthy, TemplateVersion: i.TemplateVersion, Weight: i.Weight})
	}
	return g
}

// listing answers DescribeAutoScalingGroups, as old as faults make it.
func (l *loop) listing(p *process, aimed *Fault) (any, *fleet.Failure) {
	by := aimed
	var lasts *window
	for _, w := range l.windows {
		if w.Kind == AWSStale && w.reaches(p.in) && (by == nil || w.Amount > by.Amount) {
			by, lasts = w.Fault, w
		}
	}
	fresh := &l.pictures[len(l.pictures)-1]
	if by == nil {
		l.lists(p, fresh.at)
		return fresh.view, nil
	}
	old := fresh
	for n := len(l.pictures) - 1; n >= 0 && old.at > l.at-by.Amount; n-- {
		old = &l.pictures[n]
	}
	switch {
	case old == fresh:
		l.lists(p, fresh.at)
		return old.view, nil
	case lasts != nil:
		p.hitByWindow(lasts)
		p.in.hurt(l.at, aws, AWSStale)
		l.line(l.at, "fault: i%02d %s reads a listing of %s ago", p.in.number, p.verb, by.Amount)
	default:
		l.hitBy(by, p, "")
	}
	l.lists(p, old.at)
	return old.view, nil
}

// lists tells what a listing shows. The reaper looks at members alone, and does so
// whatever an operator does to the group: that is no sight of it.
func (l *loop) lists(p *process, taken time.Duration) {
	if !p.in.isReaper() {
		l.seesListing(taken)
	}
}

// awsFailure sorts a refusal as the edge does.
func awsFailure(op string, err error) *fleet.Failure {
	if err == nil {
		return nil
	}
	var api *world.APIError
	if !errors.As(err, &api) {
		return fleet.AsFailure(op, err)
	}
	f := &fleet.Failure{Kind: fleet.Invalid, Op: op, Message: api.Error()}
	m := strings.ToLower(api.Message)
	for _, w := range wordings {
		if strings.Contains(m, w.part) {
			f.Kind = w.kind
			break
		}
	}
	return f
}

var wordings = []struct {
	part string
	kind fleet.FailureKind
}{
	{"no active lifecycle action found", fleet.NotWaiting},
	{"is above max value", fleet.OutOfBounds},
	{"is below min value", fleet.OutOfBounds},
	{"min size constraint", fleet.OutOfBounds},
	{"not found", fleet.NotFound},
	{"no managed instance", fleet.NotFound},
	{"is not part of auto scaling", fleet.NotFound},
	{"is not in inservice", fleet.Temporary},
}
