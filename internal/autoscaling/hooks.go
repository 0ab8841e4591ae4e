package autoscaling

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Hooks reads the lifecycle hooks of a group; none is an empty list.
func (c *Client) Hooks(ctx context.Context, group string) ([]fleet.Hook, error) {
	r := request{op: fmt.Sprintf("describe lifecycle hooks of group %q", group), action: "DescribeLifecycleHooks"}
	out, err := send(ctx, c, r, &sdk.DescribeLifecycleHooksInput{AutoScalingGroupName: &group},
		(*sdk.Client).DescribeLifecycleHooks)
	if err != nil {
		return nil, err
	}
	hooks := make([]fleet.Hook, 0, len(out.LifecycleHooks))
	for _, h := range out.LifecycleHooks {
		hooks = append(hooks, fleet.Hook{
			Name:             aws.ToString(h.LifecycleHookName),
			Transition:       fleet.Transition(aws.ToString(h.LifecycleTransition)),
			HeartbeatTimeout: time.Duration(aws.ToInt32(h.HeartbeatTimeout)) * time.Second,
			GlobalTimeout:    time.Duration(aws.ToInt32(h.GlobalTimeout)) * time.Second,
			DefaultResult:    fleet.HookResult(aws.ToString(h.DefaultResult)),
		})
	}
	return hooks, nil
}

// Heartbeat restarts the time-out of a waiting hook; NotWaiting when no action
// waits.
func (c *Client) Heartbeat(ctx context.Context, a fleet.HookAction) error {
	r := request{
		op:     fmt.Sprintf("heartbeat lifecycle hook %q of %s", a.Hook, a.InstanceID),
		action: "RecordLifecycleActionHeartbeat", group: a.Group,
	}
	_, err := send(ctx, c, r, &sdk.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Hook, InstanceId: &a.InstanceID,
	}, (*sdk.Client).RecordLifecycleActionHeartbeat)
	return err
}

// Complete ends the wait of a hook; NotWaiting when no action waits.
func (c *Client) Complete(ctx context.Context, a fleet.HookAction, result fleet.HookResult) error {
	r := request{
		op:     fmt.Sprintf("complete lifecycle hook %q of %s with %s", a.Hook, a.InstanceID, result),
		action: "CompleteLifecycleAction", group: a.Group,
	}
	_, err := send(ctx, c, r, &sdk.CompleteLifecycleActionInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Hook, InstanceId: &a.InstanceID,
		LifecycleActionResult: aws.String(string(result)),
	}, (*sdk.Client).CompleteLifecycleAction)
	return err
}
