package capacity

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

var zones = []string{"a", "b", "c"}

// remembers is how far back the group's activities are read, and remembered at most.
const remembers = 500

func (p *shoal) launched(e *engine, n int32) {
	id := fmt.Sprintf("i-%016x", mix(uint64(n)))                                                            //nolint:gosec // a number from 0 on
	p.of = append(p.of, shoalInstance{id: id, pos: int32(len(p.who)), growth: scaling.NewGrowth(p.growth)}) //nolint:gosec // at most MaxInstances
	p.trouble = append(p.trouble, shoalTrouble{})
	p.who = append(p.who, n)
	p.listing.Instances = append(p.listing.Instances, fleet.Instance{
		ID: id, AvailabilityZone: zones[int(n)%len(zones)], State: fleet.Pending, Healthy: true, TemplateVersion: "1",
	})
	p.happened(fleet.Activity{InstanceID: id, Description: "Launching a new EC2 instance", Start: p.time(e.now), End: p.time(e.instances[n].inSvc)})
}

// mix spreads a number over 64 bits (splitmix64): ids do not sort by age.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// happened has the group remember a launch or a leave.
func (p *shoal) happened(a fleet.Activity) {
	if len(p.past) == 2*remembers {
		p.past = append(p.past[:0], p.past[remembers:]...)
	}
	p.past = append(p.past, a)
}

func (p *shoal) gone(_ *engine, n int32) {
	pos, last := p.of[n].pos, len(p.who)-1
	p.who[pos], p.listing.Instances[pos] = p.who[last], p.listing.Instances[last]
	p.of[p.who[pos]].pos = pos
	p.who, p.listing.Instances = p.who[:last], p.listing.Instances[:last]
	p.of[n].growth = scaling.Growth{}
}

func (p *shoal) listed(n int32) *fleet.Instance { return &p.listing.Instances[p.of[n].pos] }

// look is a DescribeAutoScalingGroups.
func (p *shoal) look(e *engine) (fleet.Group, bool) {
	if !e.call() {
		return fleet.Group{}, false
	}
	p.listing.Desired = e.desired
	return p.listing, true
}
