package autoscaling

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/test/moto"
)

// motoClient returns our client, and the SDK's own for what a test must set up.
func motoClient(t *testing.T) (*Client, *sdk.Client) {
	t.Helper()
	endpoint := moto.Start(t)
	c := client(t, endpoint)
	cfg, err := c.options.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, sdk.NewFromConfig(cfg)
}

func makeGroup(t *testing.T, api *sdk.Client) {
	t.Helper()
	_, err := api.CreateLaunchConfiguration(t.Context(), &sdk.CreateLaunchConfigurationInput{
		LaunchConfigurationName: aws.String("ci-1"), ImageId: aws.String("ami-12c6146b"), InstanceType: aws.String("t3.micro"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.CreateAutoScalingGroup(t.Context(), &sdk.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("ci"), LaunchConfigurationName: aws.String("ci-1"),
		MinSize: aws.Int32(1), MaxSize: aws.Int32(5), DesiredCapacity: aws.Int32(2),
		AvailabilityZones: []string{testRegion + "a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.PutLifecycleHook(t.Context(), &sdk.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String("ci"), LifecycleHookName: aws.String("stop"),
		LifecycleTransition: aws.String(string(fleet.AtTermination)), HeartbeatTimeout: aws.Int32(60),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The whole of what an independent AWS can answer, in one life of a group.
func TestAgainstMoto(t *testing.T) {
	c, api := motoClient(t)
	makeGroup(t, api)
	ctx := t.Context()

	g := mustGroup(ctx, t, c)
	if g.Min != 1 || g.Max != 5 || g.Desired != 2 || len(g.Instances) != 2 || g.TemplateVersion != "ci-1" || g.Weighted {
		t.Errorf("got %+v", g)
	}
	id := g.Instances[0].ID
	if i := g.Instances[0]; i.State != fleet.InService || !i.Healthy || i.Protected || !strings.HasPrefix(i.AvailabilityZone, testRegion) {
		t.Errorf("got %+v", i)
	}
	if name, err := c.GroupOf(ctx, id); err != nil || name != "ci" {
		t.Errorf("group of %s: got %q, %v", id, name, err)
	}
	hooks, err := c.Hooks(ctx, "ci")
	if err != nil || len(hooks) != 1 || hooks[0].Name != "stop" || hooks[0].Transition != fleet.AtTermination || hooks[0].HeartbeatTimeout != time.Minute {
		t.Errorf("hooks: got %+v, %v", hooks, err)
	}
	if err := c.SetDesired(ctx, "ci", 3); err != nil {
		t.Error(err)
	}
	if g := mustGroup(ctx, t, c); g.Desired != 3 {
		t.Errorf("desired: got %d, want 3", g.Desired)
	}
	if err := c.SetProtection(ctx, "ci", id, true); err != nil {
		t.Error(err)
	}
	if i, _ := mustGroup(ctx, t, c).Find(id); !i.Protected {
		t.Error("the instance is not protected")
	}
	if err := c.SetUnhealthy(ctx, id); err != nil {
		t.Error(err)
	}
	if i, _ := mustGroup(ctx, t, c).Find(id); i.Healthy {
		t.Error("the instance is healthy still")
	}
	if err := c.Terminate(ctx, id, true); err != nil {
		t.Error(err)
	}
	g = mustGroup(ctx, t, c)
	if _, there := g.Find(id); there || g.Desired != 2 {
		t.Errorf("after the termination: %+v", g)
	}
}

func TestRefusalsOfMoto(t *testing.T) {
	c, _ := motoClient(t)
	_, err := c.Group(t.Context(), "missing")
	expect(t, "unknown group", err, fleet.NotFound)
	_, err = c.GroupOf(t.Context(), "i-0123456789abcdef0")
	expect(t, "instance in no group", err, fleet.NotFound)
	hook := fleet.HookAction{Group: "ci", Hook: "stop", InstanceID: "i-0123456789abcdef0"}
	expect(t, "heartbeat, which moto has not", c.Heartbeat(t.Context(), hook), fleet.Temporary)
}

func mustGroup(ctx context.Context, t *testing.T, c *Client) fleet.Group {
	t.Helper()
	g, err := c.Group(ctx, "ci")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func expect(t *testing.T, what string, err error, want fleet.FailureKind) {
	t.Helper()
	if f := fleet.AsFailure("", err); f == nil || f.Kind != want {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}
