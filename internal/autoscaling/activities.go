package autoscaling

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// maxActivities is one page, the most that the API gives.
	maxActivities = 100
	// recentActivities is how far back the list goes at least: further than who looks
	// what a group has just done asks for, also in a group that replaces all it has.
	recentActivities = 15 * time.Minute
	// mostPages bounds what that costs, in calls.
	mostPages = 5
)

// Activities returns the newest scaling activities, newest first: those of the last
// quarter of an hour, of 500 at most, and a page at least. Their times are by this
// machine's clock: what its clock and Auto Scaling's differ by, as the answer's date
// tells, is taken out. Else a clock that is two hours fast makes a replacement of a
// minute ago an old one.
func (c *Client) Activities(ctx context.Context, group string) ([]fleet.Activity, error) {
	r := request{op: fmt.Sprintf("describe scaling activities of group %q", group), action: "DescribeScalingActivities"}
	var activities []fleet.Activity
	in := sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: &group, MaxRecords: aws.Int32(maxActivities)}
	for range mostPages {
		out, err := send(ctx, c, r, &in, (*sdk.Client).DescribeScalingActivities)
		if err != nil {
			return nil, err
		}
		ahead, _ := middleware.GetAttemptSkew(out.ResultMetadata) // of ours; none where the answer has no date
		for _, a := range out.Activities {
			activities = append(activities, readActivity(a, ahead))
		}
		in.NextToken = out.NextToken
		if n := len(activities); aws.ToString(in.NextToken) == "" || n == 0 || time.Since(activities[n-1].Start) > recentActivities {
			break
		}
	}
	slices.SortStableFunc(activities, func(a, b fleet.Activity) int { return b.Start.Compare(a.Start) })
	return activities, nil
}

func readActivity(a types.Activity, ahead time.Duration) fleet.Activity {
	description := aws.ToString(a.Description)
	return fleet.Activity{
		ID:          aws.ToString(a.ActivityId),
		InstanceID:  instanceIn(description),
		Description: description,
		Cause:       aws.ToString(a.Cause),
		Start:       aws.ToTime(a.StartTime).Add(-ahead),
		End:         endOf(a, ahead),
		Status:      string(a.StatusCode),
	}
}

func endOf(a types.Activity, ahead time.Duration) time.Time {
	if a.EndTime == nil {
		return time.Time{}
	}
	return a.EndTime.Add(-ahead)
}

// An activity names its instance only in its description: "Terminating EC2
// instance: i-0abc", "Launching a new EC2 instance: i-0abc. Status Reason: …",
// "Launching a new EC2 instance from warm pool: i-0abc".
var instanceID = regexp.MustCompile(`EC2 instance(?: from warm pool)?: (i-[0-9a-z]+)`)

func instanceIn(description string) string {
	if m := instanceID.FindStringSubmatch(description); m != nil {
		return m[1]
	}
	return ""
}
