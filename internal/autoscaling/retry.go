package autoscaling

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

const (
	// attempts: a second one mends a reset connection or a clock that is off (the
	// SDK learns the offset from the first answer). More is the machines' own
	// business: they see what each failure means and back off across commands.
	attempts = 2
	// maxBackoff keeps the retry well inside callTimeout; a whole fleet that was
	// throttled at once is spread over it.
	maxBackoff = 500 * time.Millisecond
)

// retryer tries once more after a random delay. The SDK's retry quota is off: it
// empties in a long outage and would then suppress the retry that a daemon
// needs when the outage ends.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
			return rand.N(maxBackoff), nil //nolint:gosec // jitter needs no secrecy
		})
	})
}

// once turns the retry off, for a request whose repetition might take effect
// twice, or too late, when the first answer was lost.
func once(o *sdk.Options) { o.Retryer = aws.NopRetryer{} }
