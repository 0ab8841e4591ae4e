package secret

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// quoted is s as a JSON string.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func parameterBody(value string) string {
	return `{"Parameter":{"ARN":"arn:aws:ssm:eu-west-1:123456789012:parameter/ci/gitlab","DataType":"text","LastModifiedDate":1.7E9,"Name":"/ci/gitlab","Type":"SecureString","Value":` + quoted(value) + `,"Version":1}}`
}

func secretBody(value string) string {
	return `{"ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:ci-AbCdEf","CreatedDate":1.7E9,"Name":"ci","SecretString":` + quoted(value) + `,"VersionId":"EXAMPLE1-90ab-cdef-fedc-ba987SECRET1","VersionStages":["AWSCURRENT"]}`
}

func TestAWSSecrets(t *testing.T) {
	const doc = `{"gitlab":{"token":"` + hidden + `"}}`
	tests := map[string]struct{ ref, body string }{
		"parameter":             {"ssm:/ci/gitlab", parameterBody(hidden)},
		"parameter and path":    {"ssm:/ci/gitlab:3#gitlab.token", parameterBody(doc)},
		"secret":                {"secretsmanager:ci", secretBody(hidden + "\n")},
		"secret and path":       {"secretsmanager:ci#gitlab.token", secretBody(doc)},
		"binary secret":         {"secretsmanager:ci", `{"Name":"ci","SecretBinary":"` + base64.StdEncoding.EncodeToString([]byte(hidden)) + `"}`},
		"fields that are added": {"ssm:/ci/gitlab", strings.Replace(parameterBody(hidden), `"Version":1`, `"Version":1,"New":{"a":[1]}`, 1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resolver(t, serve(t, 200, tt.body)).Resolve(t.Context(), tt.ref)
			if err != nil || got.Reveal() != hidden {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestAWSErrorsAreClassified(t *testing.T) {
	const user = "User: arn:aws:sts::123456789012:assumed-role/ci-runner/i-0abc is not authorized to perform: "
	const parameter, managed = "ssm:/ci/gitlab:3", "secretsmanager:ci/gitlab#a"
	tests := []struct {
		name, ref     string
		status        int
		code, message string
		want          fleet.FailureKind
		mend          string
	}{
		{
			"parameter denied", parameter, 400, "AccessDeniedException", user + "ssm:GetParameter on resource: arn:aws:ssm:eu-west-1:123456789012:parameter/ci/gitlab because no identity-based policy allows the ssm:GetParameter action", fleet.Denied,
			"allow ssm:GetParameter on arn:aws:ssm:eu-west-1:123456789012:parameter/ci/gitlab for role ci-runner",
		},
		{
			"secret denied", managed, 400, "AccessDeniedException", user + "secretsmanager:GetSecretValue on resource: ci/gitlab because no identity-based policy allows the secretsmanager:GetSecretValue action", fleet.Denied,
			"allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:123456789012:secret:ci/gitlab-?????? for role ci-runner",
		},
		{
			"explicitly", managed, 400, "AccessDeniedException", user + "secretsmanager:GetSecretValue on resource: x with an explicit deny in a resource-based policy", fleet.Denied,
			"lift the explicit deny of secretsmanager:GetSecretValue on arn:",
		},
		{
			"secret by ARN denied", "secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:ci-AbCdEf", 400, "AccessDeniedException", "no", fleet.Denied,
			"allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:1:secret:ci-AbCdEf",
		},
		{"key of a secret", managed, 400, "AccessDeniedException", "Access to KMS is not allowed", fleet.Denied, "allow kms:Decrypt on the KMS key that encrypts arn:"},
		{"key of a parameter", parameter, 400, "AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException)", fleet.Denied, "allow kms:Decrypt"},
		{"key, newer words", parameter, 400, "AccessDeniedException", user + "kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/2", fleet.Denied, "allow kms:Decrypt"},
		{"key gone", managed, 400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.", fleet.Denied, "allow kms:Decrypt"},
		{"no parameter", parameter, 400, "ParameterNotFound", "", fleet.NotFound, "create it in eu-west-1"},
		{"no version", parameter, 400, "ParameterVersionNotFound", "Systems Manager could not find version 3 of /ci/gitlab.", fleet.NotFound, "create it"},
		{"no secret", managed, 400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.", fleet.NotFound, "create it"},
		{"deleted", managed, 400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.", fleet.Invalid, ""},
		{"throttled", parameter, 400, "ThrottlingException", "Rate exceeded", fleet.Throttled, ""},
		{"429", managed, 429, "Strange", "", fleet.Throttled, ""},
		{"bad key", parameter, 400, "UnrecognizedClientException", "The security token included in the request is invalid.", fleet.Denied, "does not know these credentials"},
		{"expired", parameter, 400, "ExpiredTokenException", "The security token included in the request is expired", fleet.Temporary, "expired"},
		{"clock", managed, 400, "InvalidSignatureException", "Signature expired: 20261122T013625Z is now earlier than 20261122T020000Z", fleet.Temporary, "clock"},
		{"signature", managed, 400, "InvalidSignatureException", "The request signature we calculated does not match", fleet.Denied, "credentials"},
		{"not signed up", managed, 400, "OptInRequired", "", fleet.Denied, "not signed up"},
		{"internal", parameter, 500, "InternalServerError", "", fleet.Temporary, ""},
		{"unavailable", managed, 503, "ServiceUnavailable", "", fleet.Temporary, ""},
		{"403", managed, 403, "Strange", "", fleet.Denied, "allow "},
		{"502", managed, 502, "Strange", "", fleet.Temporary, ""},
		{"validation", parameter, 400, "ValidationException", "1 validation error detected", fleet.Invalid, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := serve(t, tt.status, `{"__type":"`+tt.code+`","message":`+quoted(tt.message)+`}`)
			_, err := resolver(t, url).Resolve(t.Context(), tt.ref)
			f := failed(t, err, tt.want)
			if !strings.Contains(f.Mend, tt.mend) || tt.mend == "" && f.Mend != "" {
				t.Errorf("mend: got %q, want %q", f.Mend, tt.mend)
			}
			if want := `resolve secret "` + tt.ref + `": ` + tt.code; !strings.HasPrefix(f.Error(), want) {
				t.Errorf("got %q, want prefix %q", f, want)
			}
		})
	}
}

// An answer that is cut, malformed or none at all is tried again, and its pieces,
// which may be the secret's, are not shown.
func TestBadAnswersAreTemporary(t *testing.T) {
	whole := parameterBody(hidden)
	tests := map[string]string{
		"empty": "", "null": "null", "no parameter": "{}", "no value": `{"Parameter":{"Name":"/ci"}}`,
		"cut": whole[:strings.Index(whole, "VERY")+4], "page": "<html>" + hidden + "</html>",
		"wrong type": `{"Parameter":{"Name":"/ci","Value":["` + hidden + `"]}}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := resolver(t, serve(t, 200, body)).Resolve(t.Context(), "ssm:/ci")
			expect(t, err, fleet.Temporary)
		})
	}
}

func TestHugeAnswerIsCut(t *testing.T) {
	_, err := resolver(t, serve(t, 200, parameterBody(strings.Repeat(hidden, maxAnswer)))).Resolve(t.Context(), "ssm:/ci")
	expect(t, err, fleet.Temporary)
	_, err = resolver(t, serve(t, 200, parameterBody(strings.Repeat("a", maxValue+1)))).Resolve(t.Context(), "ssm:/ci")
	expect(t, err, fleet.Invalid)
}

func TestNetworkFaultsAreTemporary(t *testing.T) {
	cut := serveFunc(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, url := range []string{cut, "http://127.0.0.1:1"} {
		_, err := resolver(t, url).Resolve(t.Context(), "secretsmanager:ci")
		if f := failed(t, err, fleet.Temporary); f.Message == "" {
			t.Error("no reason")
		}
	}
	release := make(chan struct{})
	defer close(release)
	hang := serveFunc(t, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := resolver(t, hang).Resolve(ctx, "ssm:/ci")
	expect(t, err, fleet.Temporary)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline's", err)
	}
}

func TestNoCredentials(t *testing.T) {
	r := New(Options{Load: func(context.Context) (aws.Config, error) {
		return aws.Config{Region: testRegion, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no EC2 IMDS role found")
		})}, nil
	}})
	_, err := r.Resolve(t.Context(), "ssm:/ci")
	if f := failed(t, err, fleet.Temporary); !strings.Contains(f.Mend, "instance profile") {
		t.Errorf("got %v", f)
	}
}

func TestLoadFailure(t *testing.T) {
	_, err := New(Options{}).Resolve(t.Context(), "ssm:/ci")
	expect(t, err, fleet.Invalid)
	load := &fleet.Failure{Kind: fleet.Invalid, Op: "load AWS configuration", Message: "no region is known", Mend: "set AWS_REGION"}
	r := New(Options{Load: func(context.Context) (aws.Config, error) { return aws.Config{}, load }})
	_, err = r.Resolve(t.Context(), "ssm:/ci")
	if f := failed(t, err, fleet.Invalid); f.Error() != `resolve secret "ssm:/ci": load AWS configuration: no region is known (set AWS_REGION)` {
		t.Errorf("got %v", f)
	}
}
