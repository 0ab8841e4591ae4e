package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// maxMessage bounds what is kept of the other side's words: one log line.
const maxMessage = 400

// failure classifies an error of the SDK.
func failure(r request, region string, err error) *fleet.Failure {
	f := &fleet.Failure{Op: r.op, Message: bounded(cause(err)), Err: err}
	if isCredentials(err) { // before the status: that one would be the metadata service's
		f.Message = "no credentials: " + f.Message
		f.Mend = mendCredentials
		return f
	}
	status, header := response(err)
	f.RetryAfter = retryAfter(header)
	api, ok := apiError(err)
	if !ok {
		if status == http.StatusTooManyRequests {
			f.Kind = fleet.Throttled
		}
		return f
	}
	f.Kind = kindOf(api.ErrorCode(), api.ErrorMessage(), status)
	f.Message = bounded(api.ErrorCode() + ": " + api.ErrorMessage())
	f.Mend = mend(r, region, f.Kind, api)
	return f
}

// loadFailure is the failure of a request that could not even be prepared.
func loadFailure(r request, err error) *fleet.Failure {
	f := *fleet.AsFailure(r.op, err)
	f.Message = bounded(strings.TrimPrefix(f.Op+": "+f.Message, r.op+": "))
	f.Op = r.op
	return &f
}

// kindOf sorts an error of the API by its code, its HTTP status, and, since
// Auto Scaling says ValidationError to nearly everything, its wording.
func kindOf(code, message string, status int) fleet.FailureKind {
	if k, ok := kindOfCode(code, message, status); ok {
		return k
	}
	switch {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return fleet.Denied
	case status >= 500, status == http.StatusRequestTimeout, status == 0:
		return fleet.Temporary
	}
	return kindOfMessage(message)
}

func kindOfCode(code, message string, status int) (fleet.FailureKind, bool) {
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok || status == http.StatusTooManyRequests {
		return fleet.Throttled, true
	}
	switch code {
	case "ResourceContention", "ScalingActivityInProgress":
		return fleet.Throttled, true
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture":
		return fleet.Temporary, true // new credentials come by themselves; a clock is set
	case "SignatureDoesNotMatch":
		// Two causes: the clock, which is mended without us, and a wrong key.
		if isClock(message) {
			return fleet.Temporary, true
		}
		return fleet.Denied, true
	case "InternalFailure", "InternalError", "ServiceUnavailable":
		return fleet.Temporary, true
	}
	return fleet.Denied, isDenial(code)
}

// isDenial tells the codes of a refusal, whatever HTTP status they come with.
func isDenial(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthFailure",
		"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "IncompleteSignature",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired":
		return true
	}
	return false
}

// wordings are Auto Scaling's own, in lower case: a ValidationError has nothing
// else that tells one cause from another. The first match decides.
var wordings = []struct {
	part string
	kind fleet.FailureKind
}{
	{"no active lifecycle action found", fleet.NotWaiting},

	{"is above max value", fleet.OutOfBounds},         // New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.
	{"is below min value", fleet.OutOfBounds},         // New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.
	{"min size constraint", fleet.OutOfBounds},        // Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint. …
	{"desiredsize equals minsize", fleet.OutOfBounds}, // the same, should its second sentence change
	{"must be between the specified min", fleet.OutOfBounds},

	{"name not found", fleet.NotFound},              // AutoScalingGroup name not found - null; … - AutoScalingGroup 'x' not found
	{"group not found", fleet.NotFound},             // AutoScalingGroup not found - AutoScaling Group x not found
	{"no managed instance found", fleet.NotFound},   // Instance Id not found - No managed instance found for instance ID: i-0abc
	{"instance id not found", fleet.NotFound},       // the same, should its second half change
	{"is not part of auto scaling", fleet.NotFound}, // The instance i-0abc is not part of Auto Scaling group ci.
	{"no lifecycle hook found", fleet.NotFound},

	// The instance i-0abc is not in InService or EnteringStandby or Standby: true
	// for the seconds between a completed launch hook and InService, so tried again.
	{"is not in inservice", fleet.Temporary},
}

func kindOfMessage(message string) fleet.FailureKind {
	m := strings.ToLower(message)
	for _, w := range wordings {
		if strings.Contains(m, w.part) {
			return w.kind
		}
	}
	return fleet.Invalid
}

// apiError is the error that Auto Scaling itself wrote; an answer in which the
// SDK found no code is somebody else's, such as a proxy's page.
func apiError(err error) (smithy.APIError, bool) {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "" || api.ErrorCode() == "UnknownError" {
		return nil, false
	}
	return api, true
}

func response(err error) (int, http.Header) {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil || re.Response.Response == nil {
		return 0, nil
	}
	return re.Response.StatusCode, re.Response.Header
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0 // absent, a date, or nonsense: our own backoff decides
	}
	return time.Duration(seconds) * time.Second
}

// isCredentials tells whether the request was never sent for want of
// credentials. The SDK has no type for it.
func isCredentials(err error) bool {
	s := err.Error()
	return strings.Contains(s, "get identity: get credentials:") ||
		strings.Contains(s, "failed to refresh cached credentials") ||
		strings.Contains(s, "failed to retrieve credentials")
}

func isClock(message string) bool {
	return strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current")
}

// cause is what went wrong without the SDK's nested prefixes.
func cause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	var sent *smithyhttp.RequestSendError
	if errors.As(err, &sent) {
		return sent.Err.Error()
	}
	if status, _ := response(err); status != 0 {
		return fmt.Sprintf("HTTP %d, and no error of Auto Scaling in it", status)
	}
	return err.Error()
}

// bounded makes a message one line of at most maxMessage bytes.
func bounded(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
