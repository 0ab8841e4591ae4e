package imds

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// maxMessage bounds what a failure says: one log line.
const maxMessage = 300

// isNone tells whether the service has said that there is nothing at a path. A
// 404 to the request for a token says nothing about the path: something else
// than the metadata service answers there.
func isNone(err error) bool {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil || re.Response.Response == nil {
		return false
	}
	r := re.Response.Response
	return r.StatusCode == http.StatusNotFound && r.Request != nil && r.Request.Method == http.MethodGet
}

// unknown is the failure of a reading: whatever the cause, try again.
func unknown(what string, err error) *fleet.Failure {
	return &fleet.Failure{
		Kind: fleet.Temporary, Op: "read " + what + " from the instance metadata",
		Message: cause(err), Mend: mend(err.Error()), Err: err,
	}
}

// cause is what went wrong, as one line, without the SDK's nested prefixes.
func cause(err error) string {
	var sent *smithyhttp.RequestSendError
	s := err.Error()
	if errors.As(err, &sent) {
		s = sent.Err.Error()
	}
	s = strings.TrimPrefix(s, "operation error ec2imds: ")
	if _, sent, ok := strings.Cut(s, "request send failed, "); ok { // for the token
		s = sent
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

func mend(said string) string {
	switch {
	case strings.Contains(said, "AWS_EC2_METADATA_DISABLED"):
		return "unset AWS_EC2_METADATA_DISABLED: Shoal runs by the instance metadata"
	case strings.Contains(said, "failed to get API token") &&
		(strings.Contains(said, "StatusCode: 403") || strings.Contains(said, "StatusCode: 404")):
		return "enable the instance metadata service (IMDSv2) in the launch template"
	}
	for _, w := range ways {
		if slices.ContainsFunc(w.signs, func(sign string) bool { return strings.Contains(said, sign) }) {
			return w.mend + "; only EC2 instances have it"
		}
	}
	return ""
}

// ways are what may be in the way to the service, by what is said of it: the SDK
// keeps no more than the text of what failed for the token. Off EC2 the same is
// seen.
var ways = []struct {
	signs []string
	mend  string
}{
	{
		[]string{syscall.ENETUNREACH.Error(), syscall.EHOSTUNREACH.Error()},
		"see that there is a route to the metadata service",
	},
	{
		[]string{syscall.ECONNREFUSED.Error()},
		"see that no firewall refuses the metadata service, and that AWS_EC2_METADATA_SERVICE_ENDPOINT does not lead elsewhere",
	},
	{
		[]string{os.ErrDeadlineExceeded.Error(), context.DeadlineExceeded.Error(), "Client.Timeout exceeded"},
		"see that no firewall is in the way to the metadata service, and that the launch template's hop limit is 2 where this is a container",
	},
}
