package autoscaling

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	mendCredentials = "give the instance an instance profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	mendClock       = "set the machine's clock"
)

// mend tells a person what to do about a failure; empty when nothing.
func mend(r request, region string, kind fleet.FailureKind, api smithy.APIError) string {
	message := api.ErrorMessage()
	switch kind {
	case fleet.Denied:
		return mendDenied(r, region, api.ErrorCode(), message)
	case fleet.OutOfBounds:
		if strings.Contains(strings.ToLower(message), "above max") {
			return "raise the group's maximum size"
		}
		return "lower the group's minimum size"
	case fleet.Temporary:
		return mendTemporary(api.ErrorCode())
	}
	return ""
}

func mendTemporary(code string) string {
	switch code {
	case "ExpiredToken", "ExpiredTokenException":
		return "the credentials have expired: an instance role's renew themselves, others must be set anew"
	case "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture", "SignatureDoesNotMatch":
		return mendClock
	}
	return ""
}

func mendDenied(r request, region, code, message string) string {
	switch code {
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "IncompleteSignature",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "SignatureDoesNotMatch":
		return "AWS does not know these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the instance profile"
	case "OptInRequired":
		return "the account is not signed up for this region"
	}
	what := fmt.Sprintf("%s:%s on %s", cmp.Or(r.service, "autoscaling"), r.action, resource(r, region, message))
	if role := roleName(message); role != "" {
		what += " for role " + role
	}
	if strings.Contains(message, "explicit deny") {
		return "lift the explicit deny of " + what
	}
	return "allow " + what
}

// resource is the ARN that a policy must name. Describe actions know no
// resources: a policy that names one for them allows nothing.
func resource(r request, region, message string) string {
	if strings.HasPrefix(r.action, "Describe") {
		return "*"
	}
	account, group := "*", r.group
	if m := caller.FindStringSubmatch(message); m != nil {
		account = m[1]
	}
	if group == "" {
		group = "*"
		if m := namedGroup.FindStringSubmatch(message); m != nil {
			group = m[1]
		}
	}
	return fmt.Sprintf("arn:%s:autoscaling:%s:%s:autoScalingGroup:*:autoScalingGroupName/%s",
		partition(region), region, account, group)
}

// What a refusal says: "User: arn:aws:sts::123456789012:assumed-role/NAME/i-0abc
// is not authorized to perform: ACTION on resource: ARN because …".
var (
	caller     = regexp.MustCompile(`arn:aws[a-z-]*:(?:sts|iam)::(\d{12}):`)
	assumed    = regexp.MustCompile(`:assumed-role/([\w+=,.@-]{1,128})/`)
	namedGroup = regexp.MustCompile(`autoScalingGroupName/(\S{1,255})`)
)

func roleName(message string) string {
	if m := assumed.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
