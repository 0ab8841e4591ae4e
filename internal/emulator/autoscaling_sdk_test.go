package emulator

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/shoal-ci/shoal/internal/world"
)

func awsConfig(t *testing.T, c *Cloud) aws.Config {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(c.AutoScalingURL()), HTTPClient: client, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	}
}

// sdk is the real client against a group of one, whose launch hook holds it.
func sdk(t *testing.T) (*Cloud, *autoscaling.Client, string) {
	c := start(t, Options{Groups: []world.GroupSpec{{
		Name: "ci", Min: 1, Max: 3, Desired: 1, TemplateVersion: "7", HealthGrace: time.Minute,
		Hooks: []world.Hook{
			{Name: "start", Transition: world.AtLaunch, HeartbeatTimeout: time.Minute},
			{Name: "end", Transition: world.AtTermination, HeartbeatTimeout: 2 * time.Minute, DefaultResult: world.Continue},
		},
	}}})
	id := awaitEvent(t, c, anyEvent[world.InstanceBooted]).ID
	return c, autoscaling.NewFromConfig(awsConfig(t, c)), id
}

func group(t *testing.T, client *autoscaling.Client) types.AutoScalingGroup {
	t.Helper()
	out, err := client.DescribeAutoScalingGroups(context.Background(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"ci"}})
	if err != nil || len(out.AutoScalingGroups) != 1 {
		t.Fatalf("got %d groups, %v", len(out.AutoScalingGroups), err)
	}
	return out.AutoScalingGroups[0]
}

// TestSDKLife: an instance's life through the real client.
func TestSDKLife(t *testing.T) {
	_, client, id := sdk(t)
	ctx := context.Background()
	g := group(t, client)
	i := g.Instances[0]
	if *g.MinSize != 1 || *g.MaxSize != 3 || *g.DesiredCapacity != 1 || len(g.AvailabilityZones) != 3 || *g.LaunchTemplate.Version != "7" {
		t.Errorf("group: %+v", g)
	}
	if *i.InstanceId != id || i.LifecycleState != types.LifecycleStatePendingWait || *i.HealthStatus != "Healthy" || *i.ProtectedFromScaleIn || *i.AvailabilityZone != "eu-central-1a" {
		t.Errorf("instance: %+v", i)
	}
	hooks, err := client.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("ci")})
	if err != nil || len(hooks.LifecycleHooks) != 2 {
		t.Fatalf("hooks: %+v, %v", hooks, err)
	}
	if h := hooks.LifecycleHooks[0]; *h.HeartbeatTimeout != 60 || *h.GlobalTimeout != 6000 || *h.DefaultResult != "ABANDON" || *h.LifecycleTransition != world.AtLaunch {
		t.Errorf("hook: %+v", h)
	}
	if _, err := client.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: aws.String("ci"), LifecycleHookName: aws.String("start"), InstanceId: &id}); err != nil {
		t.Error(err)
	}
	complete := &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String("ci"), LifecycleHookName: aws.String("start"), InstanceId: &id, LifecycleActionResult: aws.String("CONTINUE")}
	if _, err := client.CompleteLifecycleAction(ctx, complete); err != nil {
		t.Fatal(err)
	}
	_, err = client.CompleteLifecycleAction(ctx, complete)
	wantAPIError(t, err, "ValidationError", "No active Lifecycle Action found with instance ID "+id)
	if s := group(t, client).Instances[0].LifecycleState; s != types.LifecycleStateInService {
		t.Errorf("after CONTINUE: %s", s)
	}
	single, err := client.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	if err != nil || len(single.AutoScalingInstances) != 1 || *single.AutoScalingInstances[0].AutoScalingGroupName != "ci" || *single.AutoScalingInstances[0].HealthStatus != "HEALTHY" {
		t.Errorf("one instance: %+v, %v", single, err)
	}
	terminate := func(decrement bool) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
		return client.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: &decrement})
	}
	_, err = terminate(true)
	wantAPIError(t, err, "ValidationError", "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.")
	out, err := terminate(false)
	if err != nil || *out.Activity.Description != "Terminating EC2 instance: "+id || out.Activity.StatusCode != types.ScalingActivityStatusCodeInProgress || out.Activity.StartTime == nil {
		t.Errorf("terminate: %+v, %v", out, err)
	}
	if l := group(t, client).Instances; len(l) != 2 || l[0].LifecycleState != types.LifecycleStateTerminatingWait {
		t.Errorf("after terminating without decrement: %+v; want it waiting and a replacement", l)
	}
	acts, err := client.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String("ci"), MaxRecords: aws.Int32(2)})
	if err != nil || len(acts.Activities) != 2 || acts.NextToken == nil || acts.Activities[0].StartTime.Before(*acts.Activities[1].StartTime) {
		t.Errorf("activities: %+v, %v; want two, newest first, and a next page", acts, err)
	}
}

// TestSDKCapacity: bounds, protection, health, standby through the real client.
func TestSDKCapacity(t *testing.T) {
	c, client, id := sdk(t)
	ctx := context.Background()
	set := func(n int32) error {
		_, err := client.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("ci"), DesiredCapacity: &n})
		return err
	}
	protect := func() error {
		_, err := client.SetInstanceProtection(ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: aws.String("ci"), InstanceIds: []string{id}, ProtectedFromScaleIn: aws.Bool(true)})
		return err
	}
	wantAPIError(t, set(4), "ValidationError", "New SetDesiredCapacity value 4 is above max value 3 for the AutoScalingGroup.")
	wantAPIError(t, set(0), "ValidationError", "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.")
	wantAPIError(t, protect(), "ValidationError", "The instance "+id+" is not in InService or EnteringStandby or Standby.")
	c.Do(func(w *world.World, now time.Time) {
		if err := w.Complete(now, "ci", "start", id, world.Continue); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(set(2), protect()); err != nil {
		t.Fatal(err)
	}
	if g := group(t, client); *g.DesiredCapacity != 2 || len(g.Instances) != 2 || !*g.Instances[0].ProtectedFromScaleIn {
		t.Errorf("group: %+v", g)
	}
	standby := &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String("ci"), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true)}
	if _, err := client.EnterStandby(ctx, standby); err != nil {
		t.Fatal(err)
	}
	if s := group(t, client).Instances[0].LifecycleState; s != types.LifecycleStateStandby {
		t.Errorf("state %s, want Standby", s)
	}
	if _, err := client.ExitStandby(ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String("ci"), InstanceIds: []string{id}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetInstanceHealth(ctx, &autoscaling.SetInstanceHealthInput{InstanceId: &id, HealthStatus: aws.String("Unhealthy"), ShouldRespectGracePeriod: aws.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	if s := group(t, client).Instances[0].LifecycleState; s != types.LifecycleStateTerminatingWait {
		t.Errorf("unhealthy and protected: %s, want Terminating:Wait", s)
	}
	_, err := client.DetachInstances(ctx, &autoscaling.DetachInstancesInput{AutoScalingGroupName: aws.String("ci"), InstanceIds: []string{"i-0none"}, ShouldDecrementDesiredCapacity: aws.Bool(true)})
	wantAPIError(t, err, "ValidationError", "The instance i-0none is not part of Auto Scaling group ci.")
}

// TestSDKGroups: groups are made, changed and deleted; lists are paged.
func TestSDKGroups(t *testing.T) {
	c := start(t, Options{})
	client := autoscaling.NewFromConfig(awsConfig(t, c))
	ctx := context.Background()
	for _, name := range []string{"a", "b", "c"} {
		if _, err := client.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: aws.Int32(2), AvailabilityZones: []string{"eu-central-1b"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String("a"), LifecycleHookName: aws.String("h"), LifecycleTransition: aws.String(world.AtLaunch), HeartbeatTimeout: aws.Int32(30)})
	if err != nil {
		t.Error(err)
	}
	_, err = client.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("a"), DesiredCapacity: aws.Int32(5)})
	wantAPIError(t, err, "ValidationError", "Desired capacity:5 must be between the specified min size:0 and max size:2")
	_, err = client.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("a"), MinSize: aws.Int32(1), MaxSize: aws.Int32(5)})
	if err != nil {
		t.Error(err)
	}
	var names []string
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(client, &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(2)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range out.AutoScalingGroups {
			names = append(names, *g.AutoScalingGroupName)
		}
	}
	if len(names) != 3 || names[2] != "c" {
		t.Errorf("paged: %q", names)
	}
	_, err = client.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("a")})
	wantAPIError(t, err, "ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	_, err = client.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("a"), ForceDelete: aws.Bool(true)})
	if err != nil {
		t.Error(err)
	}
	_, err = client.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("a")})
	wantAPIError(t, err, "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup a not found")
}

// TestSDKFaults: what the hook says reaches the real client as the services' own
// errors, and an effect may take place although the answer fails.
func TestSDKFaults(t *testing.T) {
	c, client, _ := sdk(t)
	set := func(n int32) error {
		_, err := client.SetDesiredCapacity(context.Background(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("ci"), DesiredCapacity: &n})
		return err
	}
	once := func(f Fault) {
		c.SetFault(func(q Request) Fault {
			if q.Service == ServiceAutoScaling && q.Operation == "SetDesiredCapacity" {
				return f
			}
			return Fault{}
		})
	}
	once(Throttling())
	wantAPIError(t, set(2), "Throttling", "Rate exceeded")
	once(AccessDenied("arn:aws:sts::000000000000:assumed-role/ci/i-0", "autoscaling:SetDesiredCapacity", "arn:x"))
	var api smithy.APIError
	if err := set(2); !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" {
		t.Errorf("got %v, want AccessDenied", err)
	}
	once(Fault{Apply: true})
	if err := set(2); err == nil {
		t.Error("a dropped answer must fail")
	}
	if n := *group(t, client).DesiredCapacity; n != 2 {
		t.Errorf("desired %d after a request that took effect and failed, want 2", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	once(Fault{Hang: true})
	_, err := client.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("ci"), DesiredCapacity: aws.Int32(3)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging request: %v", err)
	}
	c.SetFault(nil)
	if err := set(1); err != nil {
		t.Error(err)
	}
	if n := callsTo(c, ServiceAutoScaling, "SetDesiredCapacity"); n != 5 {
		t.Errorf("%d calls were counted, want 5", n)
	}
}

func callsTo(c *Cloud, api, operation string) int {
	for _, n := range c.Records().Calls {
		if n.API == api && n.Operation == operation {
			return n.Count
		}
	}
	return 0
}

// TestSecrets: the real clients of SSM and Secrets Manager.
func TestSecrets(t *testing.T) {
	c := start(t, Options{Parameters: map[string]string{"/ci/token": "one"}, Secrets: map[string]string{"ci": `{"token":"two"}`}})
	cfg, ctx := awsConfig(t, c), context.Background()
	p, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/ci/token"), WithDecryption: aws.Bool(true)})
	if err != nil || *p.Parameter.Value != "one" {
		t.Errorf("parameter: %+v, %v", p, err)
	}
	_, err = ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/other")})
	wantAPIError(t, err, "ParameterNotFound", "")
	s, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("ci")})
	if err != nil || *s.SecretString != `{"token":"two"}` {
		t.Errorf("secret: %+v, %v", s, err)
	}
	_, err = secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("other")})
	wantAPIError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func TestUnsigned(t *testing.T) {
	c := start(t, Options{})
	got := call(t, "POST", c.AutoScalingURL(), "Action=DescribeAutoScalingGroups&Version=2011-01-01", "Content-Type", "application/x-www-form-urlencoded")
	if got.status != http.StatusForbidden {
		t.Errorf("without a signature: %d %s", got.status, got.text)
	}
	got = call(t, "POST", c.AutoScalingURL(), "Action=Nonsense&Version=2011-01-01", "Content-Type", "application/x-www-form-urlencoded", "Authorization", "AWS4-HMAC-SHA256 Credential=x")
	if got.status != http.StatusBadRequest {
		t.Errorf("unknown action: %d %s", got.status, got.text)
	}
}

func wantAPIError(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}
