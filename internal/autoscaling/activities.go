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

// maxActivities is one page, the most that the API gives: enough to see what a
// fleet did in the last ten minutes.
const maxActivities = 100

// Activities returns the newest scaling activities, newest first, at most one
// page. Their times are by this machine's clock: what its clock and Auto
// Scaling's differ by, as the answer's date tells, is taken out. Else a clock
// that is two hours fast makes a replacement of a minute ago an old one.
func (c *Client) Activities(ctx context.Context, group string) ([]fleet.Activity, error) {
	r := request{op: fmt.Sprintf("describe scaling activities of group %q", group), action: "DescribeScalingActivities"}
	out, err := send(ctx, c, r, &sdk.DescribeScalingActivitiesInput{
		AutoScalingGroupName: &group, MaxRecords: aws.Int32(maxActivities),
	}, (*sdk.Client).DescribeScalingActivities)
	if err != nil {
		return nil, err
	}
	ahead, _ := middleware.GetAttemptSkew(out.ResultMetadata) // of ours; none where the answer has no date
	activities := make([]fleet.Activity, 0, len(out.Activities))
	for _, a := range out.Activities {
		activities = append(activities, readActivity(a, ahead))
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
		Status:      string(a.StatusCode),
	}
}

// An activity names its instance only in its description: "Terminating EC2
// instance: i-0abc", "Launching a new EC2 instance: i-0abc. Status Reason: …".
var instanceID = regexp.MustCompile(`EC2 instance: (i-[0-9a-z]+)`)

func instanceIn(description string) string {
	if m := instanceID.FindStringSubmatch(description); m != nil {
		return m[1]
	}
	return ""
}
