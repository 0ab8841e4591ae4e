package secret

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
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

// failure classifies an error of the SDK. The error itself is not kept: one of
// its parsers may hold a piece of the answer, and the answer is the secret.
func failure(ref fleet.SecretRef, region string, err error) *fleet.Failure {
	f := &fleet.Failure{Op: operation(ref)}
	var api smithy.APIError
	var sent *smithyhttp.RequestSendError
	status, header := response(err)
	f.RetryAfter = retryAfter(header)
	switch {
	case isCredentials(err):
		f.Message = "no credentials for AWS"
		f.Mend = "give the instance an instance profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	case errors.Is(err, context.DeadlineExceeded):
		f.Message, f.Err = "no answer in time", context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		f.Message, f.Err = "cancelled", context.Canceled
	case errors.As(err, &api) && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError":
		f.Kind = kindOf(api.ErrorCode(), api.ErrorMessage(), status)
		f.Message = bounded(api.ErrorCode() + ": " + api.ErrorMessage())
		f.Mend = mend(ref, region, f.Kind, api)
	case status == http.StatusTooManyRequests:
		f.Kind, f.Message = fleet.Throttled, "HTTP 429"
	case errors.As(err, &sent):
		f.Message = bounded(sent.Err.Error())
	default:
		f.Message = fmt.Sprintf("an answer that does not parse (HTTP %d)", status)
	}
	return f
}

func loadFailure(ref fleet.SecretRef, err error) *fleet.Failure {
	f := *fleet.AsFailure("load AWS configuration", err)
	f.Message = bounded(f.Op + ": " + f.Message)
	f.Op = operation(ref)
	return &f
}

// kindOf sorts an error of SSM, Secrets Manager or, through them, KMS.
func kindOf(code, message string, status int) fleet.FailureKind {
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok || status == http.StatusTooManyRequests {
		return fleet.Throttled
	}
	switch code {
	case "ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException":
		return fleet.NotFound
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired", "RequestTimeTooSkewed":
		return fleet.Temporary // new credentials come by themselves; a clock is set
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		if isClock(message) {
			return fleet.Temporary
		}
		return fleet.Denied
	case "AccessDeniedException", "AccessDenied", "DecryptionFailure", "InvalidKeyId", "UnrecognizedClientException",
		"InvalidClientTokenId", "IncompleteSignature", "MissingAuthenticationTokenException", "OptInRequired":
		return fleet.Denied
	case "InternalServerError", "InternalServiceError", "InternalServiceErrorException", "InternalFailure", "ServiceUnavailable":
		return fleet.Temporary
	}
	switch {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return fleet.Denied
	case status >= 500, status == http.StatusRequestTimeout, status == 0:
		return fleet.Temporary
	}
	return fleet.Invalid
}

// mend tells a person what to do about a failure; empty when nothing.
func mend(ref fleet.SecretRef, region string, kind fleet.FailureKind, api smithy.APIError) string {
	code, message := api.ErrorCode(), api.ErrorMessage()
	switch kind {
	case fleet.NotFound:
		return fmt.Sprintf("create it in %s, or correct the reference", region)
	case fleet.Temporary:
		switch {
		case strings.HasPrefix(code, "ExpiredToken"):
			return "the credentials have expired: an instance role's renew themselves, others must be set anew"
		case isClock(message), code == "RequestExpired", code == "RequestTimeTooSkewed":
			return "set the machine's clock"
		}
	case fleet.Denied:
		return mendDenied(ref, region, code, message)
	}
	return ""
}

func mendDenied(ref fleet.SecretRef, region, code, message string) string {
	switch code {
	case "UnrecognizedClientException", "InvalidClientTokenId", "IncompleteSignature",
		"MissingAuthenticationTokenException", "InvalidSignatureException", "SignatureDoesNotMatch":
		return "AWS does not know these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the instance profile"
	case "OptInRequired":
		return "the account is not signed up for this region"
	}
	if isKMS(code, message) {
		return fmt.Sprintf("allow kms:Decrypt on the KMS key that encrypts %s", resource(ref, region, message))
	}
	action := "ssm:GetParameter"
	if ref.Source == fleet.SecretManager {
		action = "secretsmanager:GetSecretValue"
	}
	what := action + " on " + resource(ref, region, message)
	if m := assumed.FindStringSubmatch(message); m != nil {
		what += " for role " + m[1]
	}
	if strings.Contains(message, "explicit deny") {
		return "lift the explicit deny of " + what
	}
	return "allow " + what
}

// isKMS tells a refusal of the key from one of the secret: "Access to KMS is not
// allowed" (Secrets Manager), "The ciphertext refers to a customer master key
// that does not exist, … or you are not allowed to access" (SSM), "… is not
// authorized to perform: kms:Decrypt …".
func isKMS(code, message string) bool {
	return code == "DecryptionFailure" || code == "InvalidKeyId" || strings.Contains(message, "kms:Decrypt") ||
		strings.Contains(message, "Access to KMS") || strings.Contains(message, "The ciphertext refers to")
}

var (
	caller  = regexp.MustCompile(`arn:aws[a-z-]*:(?:sts|iam)::(\d{12}):`)
	assumed = regexp.MustCompile(`:assumed-role/([\w+=,.@-]{1,128})/`)
)

// resource is the ARN that a policy must name.
func resource(ref fleet.SecretRef, region, message string) string {
	if strings.HasPrefix(ref.Name, "arn:") {
		return ref.Name
	}
	account := "*"
	if m := caller.FindStringSubmatch(message); m != nil {
		account = m[1]
	}
	prefix := fmt.Sprintf("arn:%s:%s:%s:%s:", partition(region), ref.Source, region, account)
	if ref.Source == fleet.SecretManager {
		return prefix + "secret:" + ref.Name + "-??????" // Secrets Manager adds six characters to a name
	}
	name, _, _ := strings.Cut(ref.Name, ":") // without a version or label
	return prefix + "parameter/" + strings.TrimPrefix(name, "/")
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
	return strings.Contains(s, "get identity: get credentials:") || strings.Contains(s, "failed to refresh cached credentials")
}

func isClock(message string) bool {
	return strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current")
}

// bounded makes a message one line of at most maxMessage bytes.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
