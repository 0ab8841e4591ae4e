package secret

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// callTimeout bounds one request with its retry. Both services answer within
	// a second; a launch that hangs here would waste the launch hook's time.
	callTimeout = 10 * time.Second
	// attempts: a second one mends a reset connection or a clock that is off. More
	// is the machine's own business, which knows how long the hook still waits.
	attempts = 2
	// maxBackoff keeps the retry well inside callTimeout, and spreads a fleet
	// whose instances were launched together.
	maxBackoff = 500 * time.Millisecond
	// maxAnswer bounds an answer: a value of maxValue bytes whose every character
	// is escaped in JSON, and what stands around it.
	maxAnswer = 6*maxValue + 16<<10
)

// readAWS asks the service that keeps the secret. Clients are made anew: a
// secret is read once or twice in an instance's life, and a client that stays
// would be memory that does nothing.
func (r *Resolver) readAWS(ctx context.Context, ref fleet.SecretRef) (string, error) {
	if r.load == nil {
		return "", &fleet.Failure{Kind: fleet.Invalid, Op: operation(ref), Message: "AWS is not configured here"}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cfg, err := r.load(ctx)
	if err != nil {
		return "", loadFailure(ref, err)
	}
	cfg.Retryer = retryer
	if cfg.HTTPClient != nil {
		cfg.HTTPClient = limited{cfg.HTTPClient}
	}
	get := readParameter
	if ref.Source == fleet.SecretManager {
		get = readSecret
	}
	value, err := get(ctx, cfg, ref.Name)
	if err != nil {
		return "", failure(ref, cfg.Region, err)
	}
	if value == nil {
		return "", &fleet.Failure{Kind: fleet.Temporary, Op: operation(ref), Message: "the answer has no value"}
	}
	return *value, nil
}

func readParameter(ctx context.Context, cfg aws.Config, name string) (*string, error) {
	out, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil || out.Parameter == nil {
		return nil, err
	}
	return out.Parameter.Value, nil
}

func readSecret(ctx context.Context, cfg aws.Config, name string) (*string, error) {
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return nil, err
	}
	if out.SecretString == nil && out.SecretBinary != nil {
		return aws.String(string(out.SecretBinary)), nil
	}
	return out.SecretString, nil
}

// retryer tries once more after a random delay.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
			return rand.N(maxBackoff), nil //nolint:gosec // jitter needs no secrecy
		})
	})
}

// limited is an HTTP client whose answers end: the SDK reads whole bodies.
type limited struct{ next aws.HTTPClient }

// Do sends the request and bounds its answer.
func (l limited) Do(req *http.Request) (*http.Response, error) {
	resp, err := l.next.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}
