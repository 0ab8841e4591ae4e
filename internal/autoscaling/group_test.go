package autoscaling

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// groupBody is a DescribeAutoScalingGroups answer in the documented format, with
// template and instances put in.
func groupBody(template, instances, next string) string {
	return `<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <DescribeAutoScalingGroupsResult>
    <AutoScalingGroups>
      <member>
        <AutoScalingGroupName>ci</AutoScalingGroupName>
        <AutoScalingGroupARN>arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:ca861182:autoScalingGroupName/ci</AutoScalingGroupARN>
        <MinSize>1</MinSize>
        <MaxSize>40</MaxSize>
        <DesiredCapacity>2</DesiredCapacity>
        ` + template + `
        <Instances>` + instances + `</Instances>
        <HealthCheckType>EC2</HealthCheckType>
        <NewInstancesProtectedFromScaleIn>false</NewInstancesProtectedFromScaleIn>
      </member>
    </AutoScalingGroups>` + next + `
  </DescribeAutoScalingGroupsResult>
  <ResponseMetadata><RequestId>7c6e177f-f082-11e1-ac58-3714bEXAMPLE</RequestId></ResponseMetadata>
</DescribeAutoScalingGroupsResponse>`
}

func instanceBody(id, state, health, protected, more string) string {
	return fmt.Sprintf(`<member><InstanceId>%s</InstanceId><AvailabilityZone>eu-west-1a</AvailabilityZone>
<LifecycleState>%s</LifecycleState><HealthStatus>%s</HealthStatus><ProtectedFromScaleIn>%s</ProtectedFromScaleIn>%s</member>`,
		id, state, health, protected, more)
}

func TestGroupIsRead(t *testing.T) {
	s := serve(t, always(200, groupBody(
		`<LaunchTemplate><LaunchTemplateId>lt-0a</LaunchTemplateId><Version>7</Version></LaunchTemplate>`,
		instanceBody("i-0a", "InService", "Healthy", "true", "<LaunchTemplate><Version>6</Version></LaunchTemplate>")+
			instanceBody("i-0b", "Pending:Wait", "UNHEALTHY", "false", "<LaunchConfigurationName>old</LaunchConfigurationName><WeightedCapacity>4</WeightedCapacity>"), "")))
	got, err := client(t, s.url).Group(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.Group{
		Name: "ci", ARN: "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:ca861182:autoScalingGroupName/ci",
		Min: 1, Max: 40, Desired: 2, TemplateVersion: "7",
		Instances: []fleet.Instance{
			{ID: "i-0a", AvailabilityZone: "eu-west-1a", State: fleet.InService, Protected: true, Healthy: true, TemplateVersion: "6"},
			{ID: "i-0b", AvailabilityZone: "eu-west-1a", State: fleet.PendingWait, TemplateVersion: "old", Weight: 4},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if name := s.seen()[0].Get("AutoScalingGroupNames.member.1"); name != "ci" {
		t.Errorf("asked for group %q", name)
	}
}

func TestTemplateVersionAndWeights(t *testing.T) {
	mixed := func(version, overrides string) string {
		return `<MixedInstancesPolicy><LaunchTemplate><LaunchTemplateSpecification><LaunchTemplateName>ci</LaunchTemplateName><Version>` + version +
			`</Version></LaunchTemplateSpecification><Overrides>` + overrides + `</Overrides></LaunchTemplate></MixedInstancesPolicy>`
	}
	tests := []struct {
		name, template, version string
		weighted                bool
	}{
		{"latest", `<LaunchTemplate><Version>$Latest</Version></LaunchTemplate>`, "", false},
		{"default", `<LaunchTemplate><Version>$Default</Version></LaunchTemplate>`, "", false},
		{"unnamed", `<LaunchTemplate><LaunchTemplateName>ci</LaunchTemplateName></LaunchTemplate>`, "", false},
		{"configuration", `<LaunchConfigurationName>ci-3</LaunchConfigurationName>`, "ci-3", false},
		{"mixed", mixed("4", `<member><InstanceType>m5.large</InstanceType></member>`), "4", false},
		{"weights", mixed("$Latest", `<member><InstanceType>m5.large</InstanceType></member><member><InstanceType>m5.xlarge</InstanceType><WeightedCapacity>2</WeightedCapacity></member>`), "", true},
		{"vcpus", `<DesiredCapacityType>vcpu</DesiredCapacityType>`, "", true},
		{"units", `<DesiredCapacityType>units</DesiredCapacityType>`, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := client(t, serve(t, always(200, groupBody(tt.template, "", ""))).url).Group(t.Context(), "ci")
			if err != nil {
				t.Fatal(err)
			}
			if g.TemplateVersion != tt.version || g.Weighted != tt.weighted {
				t.Errorf("got %q weighted %t, want %q %t", g.TemplateVersion, g.Weighted, tt.version, tt.weighted)
			}
		})
	}
}

const emptyGroups = `<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeAutoScalingGroupsResult><AutoScalingGroups/>%s</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>`

func TestGroupIsSoughtOnFurtherPages(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
		if form.Get("NextToken") == "two" {
			always(200, groupBody("", "", ""))(w, n, form)
			return
		}
		always(200, fmt.Sprintf(emptyGroups, "<NextToken>two</NextToken>"))(w, n, form)
	})
	if _, err := client(t, s.url).Group(t.Context(), "ci"); err != nil {
		t.Error(err)
	}
}

func TestUnknownGroupIsNotFound(t *testing.T) {
	for name, next := range map[string]string{"one page": "", "endless pages": "<NextToken>more</NextToken>"} {
		s := serve(t, always(200, fmt.Sprintf(emptyGroups, next)))
		_, err := client(t, s.url).Group(t.Context(), "ci")
		if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.NotFound || f.Mend == "" {
			t.Errorf("%s: got %v, want NotFound with a way to mend it", name, err)
		} else if strings.Contains(f.Mend, "group.name") { // the reaper's and the webhook's groups stand elsewhere
			t.Errorf("%s: it sends to a key that may not be the one: %s", name, f.Mend)
		}
		if n := len(s.seen()); n > maxPages {
			t.Errorf("%s: got %d requests", name, n)
		}
	}
}

func TestGroupWithoutSizesIsNotBelieved(t *testing.T) {
	s := serve(t, always(200, `<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>
<AutoScalingGroupName>ci</AutoScalingGroupName><MinSize>0</MinSize></member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>`))
	_, err := client(t, s.url).Group(t.Context(), "ci")
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Temporary {
		t.Errorf("got %v, want Temporary", err)
	}
}

func TestGroupOf(t *testing.T) {
	const body = `<DescribeAutoScalingInstancesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeAutoScalingInstancesResult><AutoScalingInstances>%s</AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>`
	const member = `<member><InstanceId>i-0a</InstanceId><AutoScalingGroupName>ci</AutoScalingGroupName><LifecycleState>InService</LifecycleState></member>`
	s := serve(t, always(200, fmt.Sprintf(body, member)))
	if got, err := client(t, s.url).GroupOf(t.Context(), "i-0a"); err != nil || got != "ci" {
		t.Errorf("got %q, %v", got, err)
	}
	s = serve(t, always(200, fmt.Sprintf(body, "")))
	_, err := client(t, s.url).GroupOf(t.Context(), "i-0a")
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.NotFound {
		t.Errorf("got %v, want NotFound", err)
	}
}

func TestHooks(t *testing.T) {
	s := serve(t, always(200, `<DescribeLifecycleHooksResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <DescribeLifecycleHooksResult><LifecycleHooks><member>
    <AutoScalingGroupName>ci</AutoScalingGroupName><LifecycleHookName>stop</LifecycleHookName>
    <LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>
    <HeartbeatTimeout>30</HeartbeatTimeout><GlobalTimeout>3000</GlobalTimeout><DefaultResult>CONTINUE</DefaultResult>
  </member></LifecycleHooks></DescribeLifecycleHooksResult>
</DescribeLifecycleHooksResponse>`))
	got, err := client(t, s.url).Hooks(t.Context(), "ci")
	want := []fleet.Hook{{
		Name: "stop", Transition: fleet.AtTermination,
		HeartbeatTimeout: 30 * time.Second, GlobalTimeout: 50 * time.Minute, DefaultResult: fleet.Continue,
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestActivitiesAreNewestFirst(t *testing.T) {
	activity := func(id, start, description string) string {
		return `<member><ActivityId>` + id + `</ActivityId><StartTime>` + start + `</StartTime><EndTime>2026-01-01T03:00:00Z</EndTime><Description>` + description +
			`</Description><Cause>At 2026 an instance was taken out of service</Cause><StatusCode>Successful</StatusCode><Progress>100</Progress></member>`
	}
	s := serve(t, always(200, `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeScalingActivitiesResult><Activities>`+
		activity("1", "2026-01-01T00:00:00.123Z", "Launching a new EC2 instance from warm pool: i-0a")+
		activity("3", "2026-01-01T02:00:00Z", "Terminating EC2 instance: i-0b")+
		activity("2", "2026-01-01T01:00:00Z", "Launching a new EC2 instance: i-0c.  Status Reason: …")+
		activity("0", "2025-01-01T01:00:00Z", "Could not launch")+
		`</Activities></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`))
	got, err := client(t, s.url).Activities(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	var ids, instances []string
	for _, a := range got {
		ids, instances = append(ids, a.ID), append(instances, a.InstanceID)
	}
	if want := []string{"3", "2", "1", "0"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("ids: got %v, want %v", ids, want)
	}
	if want := []string{"i-0b", "i-0c", "i-0a", ""}; !reflect.DeepEqual(instances, want) {
		t.Errorf("instances: got %v, want %v", instances, want)
	}
	if got[0].Status != "Successful" || got[0].Start.Hour() != 2 || got[0].End.Hour() != 3 || got[0].Cause == "" {
		t.Errorf("got %+v", got[0])
	}
}

// TestActivitiesAreByThisMachinesClock: Auto Scaling's clock is two hours behind
// ours, and an activity of five minutes ago is one of five minutes ago.
func TestActivitiesAreByThisMachinesClock(t *testing.T) {
	there := time.Now().Add(-2 * time.Hour)
	body := `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeScalingActivitiesResult><Activities><member>` +
		`<ActivityId>1</ActivityId><Description>Terminating EC2 instance: i-0b</Description><StartTime>` + there.Add(-5*time.Minute).UTC().Format(time.RFC3339) +
		`</StartTime></member></Activities></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`
	s := serve(t, func(w http.ResponseWriter, _ int, _ url.Values) {
		w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, body)
	})
	got, err := client(t, s.url).Activities(t.Context(), "ci")
	if err != nil || len(got) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if since := time.Since(got[0].Start).Round(time.Minute); since != 5*time.Minute || !got[0].End.IsZero() {
		t.Errorf("got an activity of %s ago that ended at %s, want 5m, and that it goes on", since, got[0].End)
	}
}

// What is written on the wire, against the documented parameters.
func TestEffectsAreSent(t *testing.T) {
	hook := fleet.HookAction{Group: "ci", Hook: "stop", InstanceID: "i-0a"}
	tests := []struct {
		action string
		do     func(*testing.T, *Client) error
		want   map[string]string
	}{
		{
			"SetDesiredCapacity", func(t *testing.T, c *Client) error { return c.SetDesired(t.Context(), "ci", 3) },
			map[string]string{"AutoScalingGroupName": "ci", "DesiredCapacity": "3", "HonorCooldown": "false"},
		},
		{
			"SetInstanceProtection", func(t *testing.T, c *Client) error { return c.SetProtection(t.Context(), "ci", "i-0a", true) },
			map[string]string{"AutoScalingGroupName": "ci", "InstanceIds.member.1": "i-0a", "ProtectedFromScaleIn": "true"},
		},
		{
			"TerminateInstanceInAutoScalingGroup", func(t *testing.T, c *Client) error { return c.Terminate(t.Context(), "i-0a", true) },
			map[string]string{"InstanceId": "i-0a", "ShouldDecrementDesiredCapacity": "true"},
		},
		{
			"SetInstanceHealth", func(t *testing.T, c *Client) error { return c.SetUnhealthy(t.Context(), "i-0a") },
			map[string]string{"InstanceId": "i-0a", "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": "false"},
		},
		{
			"RecordLifecycleActionHeartbeat", func(t *testing.T, c *Client) error { return c.Heartbeat(t.Context(), hook) },
			map[string]string{"AutoScalingGroupName": "ci", "LifecycleHookName": "stop", "InstanceId": "i-0a"},
		},
		{
			"CompleteLifecycleAction", func(t *testing.T, c *Client) error { return c.Complete(t.Context(), hook, fleet.Abandon) },
			map[string]string{"AutoScalingGroupName": "ci", "LifecycleHookName": "stop", "InstanceId": "i-0a", "LifecycleActionResult": "ABANDON"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.action, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
				// Operations with a result have it inside; the others none.
				body := `<` + tt.action + `Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><` + tt.action + `Result></` + tt.action + `Result></` + tt.action + `Response>`
				always(200, body)(w, n, form)
			})
			if err := tt.do(t, client(t, s.url)); err != nil {
				t.Fatal(err)
			}
			form := s.seen()[0]
			for k, want := range tt.want {
				if got := form.Get(k); got != want {
					t.Errorf("%s: got %q, want %q", k, got, want)
				}
			}
			if form.Get("Action") != tt.action {
				t.Errorf("action: got %q", form.Get("Action"))
			}
		})
	}
}

func TestDesiredOutOfRangeIsNotSent(t *testing.T) {
	s := serve(t, always(200, okBody))
	for _, n := range []int{-1, 1 << 40} {
		if f := fleet.AsFailure("", client(t, s.url).SetDesired(t.Context(), "ci", n)); f == nil || f.Kind != fleet.Invalid {
			t.Errorf("%d: got %v, want Invalid", n, f)
		}
	}
	if n := len(s.seen()); n != 0 {
		t.Errorf("got %d requests", n)
	}
}

// TestActivitiesGoBackFarEnough: a group that replaces all it has fills a page in
// minutes; what is older than who asks cares for is not read, nor more than a few pages.
func TestActivitiesGoBackFarEnough(t *testing.T) {
	for _, c := range []struct {
		apart time.Duration // of pages
		want  int
	}{{2 * time.Minute, 5}, {6 * time.Minute, 4}, {time.Hour, 2}} {
		s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
			if asked := form.Get("NextToken"); n > 1 && asked != fmt.Sprint("page-", n) {
				t.Errorf("page %d is asked for by %q", n, asked)
			}
			at := time.Now().Add(-time.Duration(n-1) * c.apart).UTC().Format(time.RFC3339)
			_, _ = fmt.Fprintf(w, `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeScalingActivitiesResult><Activities><member>`+
				`<ActivityId>%d</ActivityId><StartTime>%s</StartTime></member></Activities><NextToken>page-%d</NextToken></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`, n, at, n+1)
		})
		got, err := client(t, s.url).Activities(t.Context(), "ci")
		if err != nil || len(got) != c.want {
			t.Errorf("pages %s apart: got %d activities, want %d, %v", c.apart, len(got), c.want, err)
		}
	}
}
