package autoscaling

import (
	"context"
	"fmt"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// SetDesired sets the desired capacity, not honouring a cooldown: what waits now
// waits now. OutOfBounds outside [min, max]. It is sent once: a second request might
// take back what another instance has raised since, so the group is looked at anew
// first.
func (c *Client) SetDesired(ctx context.Context, group string, desired int) error {
	r := request{
		op:     fmt.Sprintf("set desired capacity of group %q to %d", group, desired),
		action: "SetDesiredCapacity", group: group,
	}
	if desired < 0 || desired > math.MaxInt32 {
		return &fleet.Failure{Kind: fleet.Invalid, Op: r.op, Message: "no number of instances"}
	}
	_, err := send(ctx, c, r, &sdk.SetDesiredCapacityInput{
		AutoScalingGroupName: &group, DesiredCapacity: aws.Int32(int32(desired)), HonorCooldown: aws.Bool(false),
	}, (*sdk.Client).SetDesiredCapacity, once)
	return err
}

// SetProtection sets or clears an instance's scale-in protection.
func (c *Client) SetProtection(ctx context.Context, group, instanceID string, protected bool) error {
	r := request{
		op:     fmt.Sprintf("set scale-in protection of %s in group %q to %t", instanceID, group, protected),
		action: "SetInstanceProtection", group: group,
	}
	_, err := send(ctx, c, r, &sdk.SetInstanceProtectionInput{
		AutoScalingGroupName: &group, InstanceIds: []string{instanceID}, ProtectedFromScaleIn: &protected,
	}, (*sdk.Client).SetInstanceProtection)
	return err
}

// Terminate terminates an instance through its group; OutOfBounds where the
// decrement would bring desired below min. It is sent once: should the answer be
// lost, a second request might decrement twice, so the group is looked at anew
// first.
func (c *Client) Terminate(ctx context.Context, instanceID string, decrement bool) error {
	op := fmt.Sprintf("terminate %s with a replacement", instanceID)
	if decrement {
		op = fmt.Sprintf("terminate %s with decrement", instanceID)
	}
	r := request{op: op, action: "TerminateInstanceInAutoScalingGroup"}
	_, err := send(ctx, c, r, &sdk.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: &instanceID, ShouldDecrementDesiredCapacity: &decrement,
	}, (*sdk.Client).TerminateInstanceInAutoScalingGroup, once)
	return err
}

// SetUnhealthy has the group replace the instance, not respecting the grace
// period: whoever says this has waited long enough itself.
func (c *Client) SetUnhealthy(ctx context.Context, instanceID string) error {
	r := request{op: fmt.Sprintf("set health of %s to Unhealthy", instanceID), action: "SetInstanceHealth"}
	_, err := send(ctx, c, r, &sdk.SetInstanceHealthInput{
		InstanceId: &instanceID, HealthStatus: aws.String("Unhealthy"), ShouldRespectGracePeriod: aws.Bool(false),
	}, (*sdk.Client).SetInstanceHealth)
	return err
}
