package emulator

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// The documents of the Auto Scaling API, from its reference. Lists are
// <Name><member>…</member></Name>, also empty ones.

type templateDoc struct {
	ID      string `xml:"LaunchTemplateId"`
	Name    string `xml:"LaunchTemplateName"`
	Version string `xml:"Version"`
}

type instanceDoc struct {
	ID                   string      `xml:"InstanceId"`
	Type                 string      `xml:"InstanceType"`
	GroupName            string      `xml:"AutoScalingGroupName,omitempty"` // DescribeAutoScalingInstances only
	Zone                 string      `xml:"AvailabilityZone"`
	State                world.State `xml:"LifecycleState"`
	Health               string      `xml:"HealthStatus"`
	Template             templateDoc `xml:"LaunchTemplate"`
	ProtectedFromScaleIn bool        `xml:"ProtectedFromScaleIn"`
	Weight               string      `xml:"WeightedCapacity,omitempty"`
}

type suspendedDoc struct {
	Name   string `xml:"ProcessName"`
	Reason string `xml:"SuspensionReason"`
}

type overrideDoc struct {
	InstanceType     string `xml:"InstanceType"`
	WeightedCapacity string `xml:"WeightedCapacity"`
}

type mixedDoc struct {
	Template  templateDoc   `xml:"LaunchTemplate>LaunchTemplateSpecification"`
	Overrides []overrideDoc `xml:"LaunchTemplate>Overrides>member"`
}

type groupDoc struct {
	Name            string                `xml:"AutoScalingGroupName"`
	ARN             string                `xml:"AutoScalingGroupARN"`
	Template        *templateDoc          `xml:"LaunchTemplate"`
	Mixed           *mixedDoc             `xml:"MixedInstancesPolicy"`
	Min             int                   `xml:"MinSize"`
	Max             int                   `xml:"MaxSize"`
	Desired         int                   `xml:"DesiredCapacity"`
	DefaultCooldown int                   `xml:"DefaultCooldown"`
	Zones           members[string]       `xml:"AvailabilityZones"`
	HealthCheckType string                `xml:"HealthCheckType"`
	Grace           int                   `xml:"HealthCheckGracePeriod"`
	Instances       members[instanceDoc]  `xml:"Instances"`
	Created         string                `xml:"CreatedTime"`
	Suspended       members[suspendedDoc] `xml:"SuspendedProcesses"`
	NewProtected    bool                  `xml:"NewInstancesProtectedFromScaleIn"`
}

type members[T any] struct {
	Member []T `xml:"member"`
}

type groupsResult struct {
	Groups    []groupDoc `xml:"AutoScalingGroups>member"`
	NextToken string     `xml:"NextToken,omitempty"`
}

type instancesResult struct {
	Instances []instanceDoc `xml:"AutoScalingInstances>member"`
	NextToken string        `xml:"NextToken,omitempty"`
}

type hookDoc struct {
	Group         string `xml:"AutoScalingGroupName"`
	Name          string `xml:"LifecycleHookName"`
	Transition    string `xml:"LifecycleTransition"`
	Heartbeat     int    `xml:"HeartbeatTimeout"`
	Global        int    `xml:"GlobalTimeout"`
	DefaultResult string `xml:"DefaultResult"`
}

type hooksResult struct {
	Hooks []hookDoc `xml:"LifecycleHooks>member"`
}

type activityDoc struct {
	ID          string `xml:"ActivityId"`
	Group       string `xml:"AutoScalingGroupName"`
	Description string `xml:"Description"`
	Cause       string `xml:"Cause"`
	Start       string `xml:"StartTime"`
	End         string `xml:"EndTime,omitempty"`
	Status      string `xml:"StatusCode"`
	Message     string `xml:"StatusMessage,omitempty"`
	Progress    int    `xml:"Progress"`
	Details     string `xml:"Details"`
}

type activitiesResult struct {
	Activities []activityDoc `xml:"Activities>member"`
	NextToken  string        `xml:"NextToken,omitempty"`
}

type activityResult struct {
	Activity activityDoc `xml:"Activity"`
}

func groupXML(g world.GroupView) groupDoc {
	d := groupDoc{
		Name: g.Name, ARN: g.ARN, Min: g.Min, Max: g.Max, Desired: g.Desired, DefaultCooldown: 300,
		HealthCheckType: "EC2", Grace: int(g.HealthGrace.Seconds()), Created: awsTime(g.CreatedAt), NewProtected: g.NewProtected,
	}
	d.Zones.Member = g.Zones
	t := templateXML(g.Template, g.TemplateVersion)
	if g.Weight > 0 {
		d.Mixed = &mixedDoc{Template: t, Overrides: []overrideDoc{{InstanceType: g.InstanceType, WeightedCapacity: fmt.Sprint(g.Weight)}}}
	} else {
		d.Template = &t
	}
	for _, i := range g.Instances {
		d.Instances.Member = append(d.Instances.Member, instanceXML(i, false))
	}
	for _, p := range g.Suspended {
		d.Suspended.Member = append(d.Suspended.Member, suspendedDoc{Name: p, Reason: "User suspended at " + awsTime(g.CreatedAt)})
	}
	return d
}

func templateXML(name, version string) templateDoc {
	return templateDoc{ID: "lt-00000000000000000", Name: name, Version: version}
}

// instanceXML is an instance as one of the two calls shows it: they spell health
// differently.
func instanceXML(i world.InstanceView, alone bool) instanceDoc {
	d := instanceDoc{
		ID: i.ID, Type: i.Type, Zone: i.Zone, State: i.State, Health: "Healthy",
		Template: templateXML(i.Template, i.TemplateVersion), ProtectedFromScaleIn: i.Protected,
	}
	if !i.Healthy {
		d.Health = "Unhealthy"
	}
	if alone {
		d.GroupName, d.Health = i.Group, strings.ToUpper(d.Health)
	}
	if i.Weight > 0 {
		d.Weight = fmt.Sprint(i.Weight)
	}
	return d
}

func hookXML(group string, h world.Hook) hookDoc {
	return hookDoc{
		Group: group, Name: h.Name, Transition: h.Transition, DefaultResult: h.DefaultResult,
		Heartbeat: wholeSeconds(h.HeartbeatTimeout), Global: wholeSeconds(h.GlobalTimeout()),
	}
}

// wholeSeconds rounds up: hooks of a demo may be shorter than a second, and 0
// would mean that there is no time-out.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

func activitiesXML(list []world.Activity) []activityDoc {
	out := make([]activityDoc, 0, len(list))
	for _, a := range list {
		out = append(out, activityXML(a))
	}
	return out
}

func activityXML(a world.Activity) activityDoc {
	d := activityDoc{
		ID: a.ID, Group: a.Group, Description: a.Description, Cause: a.Cause, Start: awsTime(a.Start),
		Status: a.Status, Message: a.Message, Progress: a.Progress, Details: "{}",
	}
	if !a.End.IsZero() {
		d.End = awsTime(a.End)
	}
	return d
}

func awsTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

var requests atomic.Uint64

// requestID is unique in this process; nothing more is asked of it.
func requestID() string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", requests.Add(1)) }
