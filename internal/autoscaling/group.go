package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// maxPages bounds a paged read. A read by name has one page; the bound keeps a
// server that always offers a next one from holding us.
const maxPages = 5

// GroupOf finds the group of an instance; NotFound when it is in none.
func (c *Client) GroupOf(ctx context.Context, instanceID string) (string, error) {
	r := request{op: fmt.Sprintf("find the group of %s", instanceID), action: "DescribeAutoScalingInstances"}
	out, err := send(ctx, c, r, &sdk.DescribeAutoScalingInstancesInput{InstanceIds: []string{instanceID}},
		(*sdk.Client).DescribeAutoScalingInstances)
	if err != nil {
		return "", err
	}
	for _, i := range out.AutoScalingInstances {
		if aws.ToString(i.InstanceId) == instanceID && aws.ToString(i.AutoScalingGroupName) != "" {
			return *i.AutoScalingGroupName, nil
		}
	}
	return "", &fleet.Failure{
		Kind: fleet.NotFound, Op: r.op, Message: "the instance is in no Auto Scaling group",
		Mend: "run it from a group, or set group.name",
	}
}

// Group reads one group with its instances; NotFound when there is none of that
// name.
func (c *Client) Group(ctx context.Context, name string) (fleet.Group, error) {
	r := request{op: fmt.Sprintf("describe group %q", name), action: "DescribeAutoScalingGroups"}
	in := &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}}
	for range maxPages {
		out, err := send(ctx, c, r, in, (*sdk.Client).DescribeAutoScalingGroups)
		if err != nil {
			return fleet.Group{}, err
		}
		for _, g := range out.AutoScalingGroups {
			if aws.ToString(g.AutoScalingGroupName) == name {
				return readGroup(r, g)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in.NextToken = out.NextToken
	}
	return fleet.Group{}, &fleet.Failure{
		Kind: fleet.NotFound, Op: r.op, Message: "there is no group of this name in this region and account",
		Mend: "check the name where it is configured, and the region",
	}
}

// readGroup turns an answer into a group. One without its sizes is not believed:
// taken for zeros they would make an instance leave.
func readGroup(r request, g types.AutoScalingGroup) (fleet.Group, error) {
	if g.MinSize == nil || g.MaxSize == nil || g.DesiredCapacity == nil {
		err := errors.New("the answer lacks MinSize, MaxSize or DesiredCapacity")
		return fleet.Group{}, &fleet.Failure{Op: r.op, Message: err.Error(), Err: err}
	}
	group := fleet.Group{
		Name:            aws.ToString(g.AutoScalingGroupName),
		ARN:             aws.ToString(g.AutoScalingGroupARN),
		Min:             int(*g.MinSize),
		Max:             int(*g.MaxSize),
		Desired:         int(*g.DesiredCapacity),
		TemplateVersion: groupVersion(g),
		Weighted:        isWeighted(g),
		Instances:       make([]fleet.Instance, 0, len(g.Instances)),
	}
	for _, i := range g.Instances {
		group.Instances = append(group.Instances, readInstance(i))
	}
	return group, nil
}

func readInstance(i types.Instance) fleet.Instance {
	weight, err := strconv.Atoi(aws.ToString(i.WeightedCapacity))
	if err != nil {
		weight = 0
	}
	version := aws.ToString(i.LaunchConfigurationName)
	if i.LaunchTemplate != nil {
		version = aws.ToString(i.LaunchTemplate.Version)
	}
	return fleet.Instance{
		ID:               aws.ToString(i.InstanceId),
		AvailabilityZone: aws.ToString(i.AvailabilityZone),
		State:            fleet.LifecycleState(i.LifecycleState),
		Protected:        aws.ToBool(i.ProtectedFromScaleIn),
		Healthy:          !strings.EqualFold(aws.ToString(i.HealthStatus), "Unhealthy"),
		TemplateVersion:  version,
		Weight:           weight,
	}
}

// groupVersion is what a launch would use now. $Latest and $Default would need
// a question to EC2 to resolve: empty.
func groupVersion(g types.AutoScalingGroup) string {
	t := g.LaunchTemplate
	if p := g.MixedInstancesPolicy; t == nil && p != nil && p.LaunchTemplate != nil {
		t = p.LaunchTemplate.LaunchTemplateSpecification
	}
	if t == nil {
		return aws.ToString(g.LaunchConfigurationName)
	}
	if v := aws.ToString(t.Version); !strings.HasPrefix(v, "$") {
		return v
	}
	return ""
}

// isWeighted tells whether capacity counts something else than instances: by a
// weight of an instance type, or in vCPUs or memory.
func isWeighted(g types.AutoScalingGroup) bool {
	if t := aws.ToString(g.DesiredCapacityType); t != "" && t != "units" {
		return true
	}
	p := g.MixedInstancesPolicy
	if p == nil || p.LaunchTemplate == nil {
		return false
	}
	for _, o := range p.LaunchTemplate.Overrides {
		if aws.ToString(o.WeightedCapacity) != "" {
			return true
		}
	}
	return false
}
