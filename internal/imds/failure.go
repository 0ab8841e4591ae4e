package imds

import (
	"errors"
	"net/http"
	"strings"
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
	message := cause(err)
	return &fleet.Failure{
		Kind: fleet.Temporary, Op: "read " + what + " from the instance metadata",
		Message: message, Mend: mend(message), Err: err,
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

func mend(message string) string {
	switch {
	case strings.Contains(message, "AWS_EC2_METADATA_DISABLED"):
		return "unset AWS_EC2_METADATA_DISABLED: Shoal runs by the instance metadata"
	case strings.Contains(message, "failed to get API token") &&
		(strings.Contains(message, "StatusCode: 403") || strings.Contains(message, "StatusCode: 404")):
		return "enable the instance metadata service (IMDSv2) in the launch template"
	}
	return ""
}
