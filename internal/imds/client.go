// Package imds reads what EC2 tells an instance about itself: who it is, what
// its group wants of it, whether it is to be taken.
//
// It guarantees that only a 200 whose body parses is an answer and only a 404 is
// "none"; everything else (401, 5xx, time-outs, garbage, an empty or endless
// body) is a Temporary *fleet.Failure: unknown, never a notice. It speaks IMDSv2
// only, renews its token before the end and once when it is refused, never goes
// through a proxy, and honours AWS_EC2_METADATA_SERVICE_ENDPOINT and
// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE. One client serves a daemon that polls
// for days.
//
// What follows from an answer is left to package life.
package imds

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// attemptTimeout bounds one HTTP request. The service is on the same host and
	// answers in about a millisecond; one that takes a second will not answer.
	attemptTimeout = time.Second
	// callTimeout bounds one reading with its token and its retries. It is below
	// the 5 s between two polls, so that a hanging service delays no other reading
	// for longer than a period.
	callTimeout = 3 * time.Second
	// attempts: the second is the one that renews a refused token. A poll that
	// fails twice comes again in 5 s anyway.
	attempts = 2
	// maxBackoff: the service limits packets per second and instance, which a
	// tenth of a second outlasts.
	maxBackoff = 100 * time.Millisecond
	// idleTimeout keeps the one connection open between polls, and lets go of it
	// soon after the last.
	idleTimeout = 30 * time.Second
)

// Options is what a Client may be given; the zero value is right on an instance.
type Options struct {
	// HTTPClient carries the requests; nil means one with a single connection and
	// no proxy. Its Timeout and CheckRedirect are replaced.
	HTTPClient *http.Client
	// Endpoint replaces AWS_EC2_METADATA_SERVICE_ENDPOINT and the service's own
	// address; empty leaves them.
	Endpoint string
}

// Client is the metadata service of this instance. Its methods may be called
// from several goroutines; they share one token, and wait for one another while
// it is renewed.
type Client struct {
	api  *sdk.Client
	http *http.Client
}

// ModeVariable tells by which version of IP the service is asked.
const ModeVariable = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"

// New returns a client; it makes no request. It fails where ModeVariable has no
// known value.
func New(o Options) (*Client, error) {
	var mode sdk.EndpointModeState
	if err := mode.SetFromString(os.Getenv(ModeVariable)); err != nil {
		return nil, &fleet.Failure{
			Kind: fleet.Invalid, Op: "prepare the metadata client", Message: err.Error(), Err: err,
			Mend: "set " + ModeVariable + " to IPv4 or IPv6, or unset it",
		}
	}
	hc := httpClient(o.HTTPClient)
	api := sdk.New(sdk.Options{
		HTTPClient:               hc,
		Endpoint:                 o.Endpoint,
		EndpointMode:             mode,
		EnableFallback:           aws.FalseTernary, // IMDSv1 can be asked for by any process that can be made to fetch a URL
		Retryer:                  retryer(),
		DisableDefaultMaxBackoff: true, // it would replace our delays
		Logger:                   logging.Nop{},
	})
	return &Client{api: api, http: hc}, nil
}

// Close lets go of idle connections. The client remains usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// httpClient is a plain client: the SDK replaces the dialer of its own kind.
// The metadata service is never reached through a proxy, which would answer with
// its own host's metadata.
func httpClient(given *http.Client) *http.Client {
	hc := http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: attemptTimeout}).DialContext,
		MaxIdleConns:        1,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true, // bodies of some bytes
	}}
	if given != nil {
		hc = *given
	}
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = careful{hc.Transport}
	hc.Timeout = attemptTimeout
	// A redirect leads away from the service: it is no answer.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &hc
}

// retryer tries once more after a short random delay. The SDK's retry quota is
// off: a service that is away for an hour would empty it, and the first expired
// token afterwards would not be renewed.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
			return rand.N(maxBackoff), nil //nolint:gosec // jitter needs no secrecy
		})
	})
}

// Identity reads who this instance is. GroupTag is empty where the launch
// template does not allow tags in metadata.
func (c *Client) Identity(ctx context.Context) (fleet.Identity, error) {
	const what = "instance identity document"
	identity, there, err := read(ctx, what, parseIdentity, c.document)
	if err != nil {
		return fleet.Identity{}, err
	}
	if !there { // every instance has one
		return fleet.Identity{}, unknown(what, errors.New("the service has none (HTTP 404)"))
	}
	tag, _, err := read(ctx, "group tag", parseGroupName, c.metadata("tags/instance/aws:autoscaling:groupName"))
	if err != nil {
		return fleet.Identity{}, err
	}
	identity.GroupTag = tag
	return identity, nil
}

// TargetState reads what the group wants of this instance; empty when there is
// none.
func (c *Client) TargetState(ctx context.Context) (fleet.LifecycleState, error) {
	state, _, err := read(ctx, "target lifecycle state", parseTargetState, c.metadata("autoscaling/target-lifecycle-state"))
	return state, err
}

// SpotAction reads the spot interruption notice; nil when there is none.
func (c *Client) SpotAction(ctx context.Context) (*fleet.SpotAction, error) {
	action, there, err := read(ctx, "spot interruption notice", parseSpotAction, c.metadata("spot/instance-action"))
	if err != nil || !there {
		return nil, err
	}
	return &action, nil
}

// Rebalance tells whether a rebalance recommendation stands.
func (c *Client) Rebalance(ctx context.Context) (bool, error) {
	_, there, err := read(ctx, "rebalance recommendation", parseRebalance, c.metadata("events/recommendations/rebalance"))
	return there, err
}

// Maintenance reads the scheduled events; nil when there is none.
func (c *Client) Maintenance(ctx context.Context) ([]fleet.MaintenanceEvent, error) {
	events, _, err := read(ctx, "scheduled maintenance events", parseMaintenance, c.metadata("events/maintenance/scheduled"))
	return events, err
}

// fetch is one GET of the service.
type fetch func(context.Context) (io.ReadCloser, error)

func (c *Client) document(ctx context.Context) (io.ReadCloser, error) {
	out, err := c.api.GetDynamicData(ctx, &sdk.GetDynamicDataInput{Path: "instance-identity/document"})
	if err != nil {
		return nil, err
	}
	return out.Content, nil
}

func (c *Client) metadata(path string) fetch {
	return func(ctx context.Context) (io.ReadCloser, error) {
		out, err := c.api.GetMetadata(ctx, &sdk.GetMetadataInput{Path: path})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	}
}

// read fetches and parses one thing; false and the zero value when the service
// says that there is none.
func read[T any](ctx context.Context, what string, parse func([]byte) (T, error), get fetch) (T, bool, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := get(ctx)
	if isNone(err) {
		return none, false, nil
	}
	if err != nil {
		return none, false, unknown(what, err)
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body) // bounded by careful
	if err != nil {
		return none, false, unknown(what, err)
	}
	v, err := parse(b)
	if err != nil {
		return none, false, unknown(what, err)
	}
	return v, true, nil
}
