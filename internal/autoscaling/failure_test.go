package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const user = "User: arn:aws:sts::123456789012:assumed-role/ci-runner/i-0abc is not authorized to perform: "

func TestErrorsAreClassified(t *testing.T) {
	const group = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci"
	tests := []struct {
		name          string
		status        int
		code, message string
		want          fleet.FailureKind
		mend          string
	}{
		{"throttling", 400, "Throttling", "Rate exceeded", fleet.Throttled, ""},
		{"request limit", 503, "RequestLimitExceeded", "Request limit exceeded.", fleet.Throttled, ""},
		{"throttling exception", 400, "ThrottlingException", "Rate exceeded", fleet.Throttled, ""},
		{"429", 429, "SomethingElse", "slow down", fleet.Throttled, ""},
		{"contention", 400, "ResourceContention", "You already have a pending update to an Amazon EC2 Auto Scaling resource (for example, an Auto Scaling group, instance, or load balancer).", fleet.Throttled, ""},
		{"activity in progress", 400, "ScalingActivityInProgress", "Activity 12345 is in progress and blocks this action", fleet.Throttled, ""},

		{
			"denied", 403, "AccessDenied", user + "autoscaling:SetDesiredCapacity on resource: arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci because no identity-based policy allows the autoscaling:SetDesiredCapacity action", fleet.Denied,
			"allow autoscaling:SetDesiredCapacity on " + group + " for role ci-runner",
		},
		{
			"denied explicitly", 403, "AccessDenied", user + "autoscaling:SetDesiredCapacity on resource: x with an explicit deny in a service control policy", fleet.Denied,
			"lift the explicit deny of autoscaling:SetDesiredCapacity on " + group + " for role ci-runner",
		},
		{
			"unauthorized operation", 403, "UnauthorizedOperation", "You are not authorized to perform this operation.", fleet.Denied,
			"allow autoscaling:SetDesiredCapacity on arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/ci",
		},
		{"bad key", 403, "InvalidClientTokenId", "The security token included in the request is invalid.", fleet.Denied, "does not know these credentials"},
		{"bad signature", 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", fleet.Denied, "does not know these credentials"},
		{"not signed up", 403, "OptInRequired", "The AWS Access Key Id needs a subscription for the service", fleet.Denied, "not signed up"},
		{"expired", 403, "ExpiredToken", "The security token included in the request is expired", fleet.Temporary, "expired"},
		{"clock", 403, "SignatureDoesNotMatch", "Signature expired: 20261122T013625Z is now earlier than 20261122T020000Z (20261122T021500Z - 15 min.)", fleet.Temporary, "clock"},

		{"no action waits", 400, "ValidationError", "No active Lifecycle Action found with instance ID i-0abc", fleet.NotWaiting, ""},
		{"above max", 400, "ValidationError", "New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.", fleet.OutOfBounds, "raise the group's maximum"},
		{"below min", 400, "ValidationError", "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.", fleet.OutOfBounds, "lower the group's minimum"},
		{"at min", 400, "ValidationError", "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", fleet.OutOfBounds, "lower the group's minimum"},
		{"no group", 400, "ValidationError", "AutoScalingGroup name not found - null", fleet.NotFound, ""},
		{"no group, newer words", 400, "ValidationError", "AutoScalingGroup not found - AutoScaling Group ci not found", fleet.NotFound, ""},
		{"no instance", 400, "ValidationError", "Instance Id not found - No managed instance found for instance ID: i-0abc", fleet.NotFound, ""},
		{"another group's instance", 400, "ValidationError", "The instance i-0abc is not part of Auto Scaling group ci.", fleet.NotFound, ""},
		{"no hook", 400, "ValidationError", "No Lifecycle Hook found with name start", fleet.NotFound, ""},
		{"not in service yet", 400, "ValidationError", "The instance i-0abc is not in InService or EnteringStandby or Standby.", fleet.Temporary, ""},
		{"malformed", 400, "ValidationError", "1 validation error detected: Value '' at 'autoScalingGroupName' failed to satisfy constraint", fleet.Invalid, ""},
		{"unknown action", 400, "InvalidAction", "Could not find operation", fleet.Invalid, ""},

		{"internal", 500, "InternalFailure", "We encountered an internal error. Please try again.", fleet.Temporary, ""},
		{"internal, no-one's status", 400, "InternalFailure", "We encountered an internal error.", fleet.Temporary, ""},
		{"unavailable", 503, "ServiceUnavailable", "Service is unable to handle request.", fleet.Temporary, ""},
		{"unknown 5xx", 502, "Strange", "…", fleet.Temporary, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, always(tt.status, errorBody(tt.code, tt.message)))
			c := client(t, s.url)
			t.Setenv("AWS_MAX_ATTEMPTS", "1") // the retry is another test's
			err := c.SetDesired(t.Context(), "ci", 3)
			var f *fleet.Failure
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a *fleet.Failure", err)
			}
			if f.Kind != tt.want {
				t.Errorf("kind: got %q, want %q (%v)", f.Kind, tt.want, f)
			}
			if !strings.Contains(f.Mend, tt.mend) || (tt.mend == "" && f.Mend != "") {
				t.Errorf("mend: got %q, want %q", f.Mend, tt.mend)
			}
			if want := `set desired capacity of group "ci" to 3: ` + tt.code; !strings.HasPrefix(f.Error(), want) {
				t.Errorf("error: got %q, want prefix %q", f, want)
			}
		})
	}
}

func TestDescribeIsDeniedOnEverything(t *testing.T) {
	s := serve(t, always(403, errorBody("AccessDenied", user+
		"autoscaling:DescribeAutoScalingGroups because no identity-based policy allows the autoscaling:DescribeAutoScalingGroups action")))
	_, err := client(t, s.url).Group(t.Context(), "ci")
	f := fleet.AsFailure("", err)
	if want := "allow autoscaling:DescribeAutoScalingGroups on * for role ci-runner"; f.Kind != fleet.Denied || f.Mend != want {
		t.Errorf("got %q %q, want %q", f.Kind, f.Mend, want)
	}
}

func TestPartitionAndUnknownGroupInResource(t *testing.T) {
	for region, want := range map[string]string{
		"cn-north-1":    "arn:aws-cn:autoscaling:cn-north-1:*:autoScalingGroup:*:autoScalingGroupName/*",
		"us-gov-west-1": "arn:aws-us-gov:autoscaling:us-gov-west-1:*:autoScalingGroup:*:autoScalingGroupName/*",
		"eu-west-1":     "arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/*",
	} {
		if got := resource(request{action: "SetInstanceHealth"}, region, ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const message = "… on resource: arn:aws:autoscaling:eu-west-1:1:autoScalingGroup:u:autoScalingGroupName/ci because"
	if got := resource(request{action: "SetInstanceHealth"}, "eu-west-1", message); !strings.HasSuffix(got, "/ci") {
		t.Errorf("got %q, want the group that the refusal names", got)
	}
}

// What is no answer of Auto Scaling is unknown: neither an empty group nor a
// success.
func TestForeignAnswersAreTemporary(t *testing.T) {
	huge := okBody + strings.Repeat(" ", maxAnswer)
	tests := []struct {
		name   string
		status int
		body   string
	}{
		{"empty 200", 200, ""},
		{"page 200", 200, "<html><body>Please log in</body></html>"},
		{"text 200", 200, "OK"},
		{"error with 200", 200, errorBody("Throttling", "Rate exceeded")},
		{"cut off 200", 200, "<SetDesiredCapacity"},
		{"huge 200", 200, huge},
		{"empty 500", 500, ""},
		{"page 502", 502, "<html><body>Bad gateway</body></html>"},
		{"page 403", 403, "<html><body>Forbidden by the proxy</body></html>"},
		{"text 404", 404, "404 page not found"},
		{"redirect", 302, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, always(tt.status, tt.body))
			c := client(t, s.url)
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			_, groupErr := c.Group(t.Context(), "ci")
			for _, err := range []error{c.SetDesired(t.Context(), "ci", 3), groupErr} {
				var f *fleet.Failure
				if !errors.As(err, &f) || f.Kind != fleet.Temporary {
					t.Errorf("got %v, want a Temporary failure", err)
				}
				if len(fmt.Sprint(err)) > 2*maxMessage {
					t.Errorf("message is not bounded: %d bytes", len(err.Error()))
				}
			}
		})
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
		w.Header().Set("Retry-After", "7")
		always(503, errorBody("Throttling", "Rate exceeded"))(w, n, form)
	})
	f := fleet.AsFailure("", client(t, s.url).SetDesired(t.Context(), "ci", 3))
	if f.Kind != fleet.Throttled || f.RetryAfter != 7*time.Second {
		t.Errorf("got %q after %s, want throttled after 7s", f.Kind, f.RetryAfter)
	}
}

func TestOneRetryMendsAHiccup(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
		if n == 1 {
			panic(http.ErrAbortHandler) // cut the connection
		}
		always(200, okBody)(w, n, form)
	})
	if err := client(t, s.url).SetUnhealthy(t.Context(), "i-0abc"); err != nil {
		t.Error(err)
	}
	if n := len(s.seen()); n != 2 {
		t.Errorf("got %d requests, want 2", n)
	}
}

func TestRetriesAreFew(t *testing.T) {
	s := serve(t, always(500, errorBody("InternalFailure", "…")))
	c := client(t, s.url)
	for range 3 { // more often than the SDK's quota would matter
		if err := c.SetUnhealthy(t.Context(), "i-0abc"); err == nil {
			t.Error("got no error")
		}
	}
	if n := len(s.seen()); n != 3*attempts {
		t.Errorf("got %d requests, want %d", n, 3*attempts)
	}
}

// A termination whose answer was lost may have taken effect: sent again it could
// decrement twice. A desired capacity may have been raised by others since.
func TestSentOnce(t *testing.T) {
	for name, call := range map[string]func(*Client) error{
		"terminate":   func(c *Client) error { return c.Terminate(t.Context(), "i-0abc", true) },
		"set desired": func(c *Client) error { return c.SetDesired(t.Context(), "ci", 3) },
	} {
		s := serve(t, func(http.ResponseWriter, int, url.Values) { panic(http.ErrAbortHandler) })
		if f := fleet.AsFailure("", call(client(t, s.url))); f == nil || f.Kind != fleet.Temporary {
			t.Errorf("%s: got %v, want a Temporary failure", name, f)
		}
		if n := len(s.seen()); n != 1 {
			t.Errorf("%s: got %d requests, want 1", name, n)
		}
	}
}

func TestUnreachableIsTemporary(t *testing.T) {
	c := client(t, "http://127.0.0.1:1") // nothing listens on tcpmux
	err := c.SetDesired(t.Context(), "ci", 3)
	f := fleet.AsFailure("", err)
	if f.Kind != fleet.Temporary || !strings.Contains(f.Error(), "connection refused") {
		t.Errorf("got %q %v, want Temporary and the reason", f.Kind, f)
	}
}

func TestCancelledAndLateAreTemporary(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, int, url.Values) { <-release })
	defer close(release)
	c := client(t, s.url)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.SetDesired(ctx, "ci", 3)
	if f := fleet.AsFailure("", err); f.Kind != fleet.Temporary || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late: got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	err = c.SetDesired(ctx, "ci", 3)
	if f := fleet.AsFailure("", err); f.Kind != fleet.Temporary || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestBounded(t *testing.T) {
	if got := bounded("a\nb\x1b[31m\xff"); got != "a b [31m?" {
		t.Errorf("got %q", got)
	}
	if got := bounded(strings.Repeat("ä", maxMessage)); len(got) > maxMessage+len("…") {
		t.Errorf("got %d bytes", len(got))
	}
}

func FuzzCheckAnswer(f *testing.F) {
	f.Add([]byte(okBody))
	f.Add([]byte(errorBody("Throttling", "Rate exceeded")))
	f.Add([]byte("<html>"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkAnswer(body) == nil && !strings.Contains(string(body), "Response") {
			t.Errorf("accepted %q", body)
		}
	})
}
