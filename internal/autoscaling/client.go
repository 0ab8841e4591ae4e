// Package autoscaling speaks to EC2 Auto Scaling: it reads an instance's group,
// hooks and activities, and changes capacity, protection, health and lifecycle
// actions. Of EC2 itself it asks one thing, which instances there are.
//
// It guarantees that every method is one bounded request (tried at most twice),
// that an answer counts only if it parses as Auto Scaling's, and that every
// error is a *fleet.Failure whose kind says what follows and whose Mend names
// the missing IAM action and resource. It honours the AWS SDK's own variables
// (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_AUTO_SCALING, AWS_REGION, AWS_CA_BUNDLE,
// proxies) and has none of its own.
//
// When to try again, and whether a request makes sense, is left to package life.
package autoscaling

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// callTimeout bounds one request with its one retry. Auto Scaling answers within
// a second; a machine that waits longer than this holds up a drain whose
// deadline may be two minutes away.
const callTimeout = 10 * time.Second

// Options is what a Client needs.
type Options struct {
	// Load gives the SDK's configuration. It is called at the first request, not
	// before: a daemon with nothing to say to AWS pays nothing for it. A failure
	// is returned from that request and tried again at the next.
	Load func(context.Context) (aws.Config, error)
	// HTTPClient replaces the configuration's HTTP client; nil keeps that one.
	HTTPClient *http.Client
}

// Client is Auto Scaling as an instance sees it. Its methods may be called from
// several goroutines.
type Client struct {
	options Options

	mu  sync.Mutex // guards api and cfg
	api *sdk.Client
	cfg aws.Config // that api was made of; never changed once it is
}

// New returns a client; it makes no request and loads nothing yet.
func New(o Options) (*Client, error) {
	if o.Load == nil {
		return nil, errors.New("new auto scaling client: Options.Load is missing")
	}
	return &Client{options: o}, nil
}

// service returns the SDK's client, made at the first call.
func (c *Client) service(ctx context.Context) (*sdk.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api != nil {
		return c.api, nil
	}
	cfg, err := c.options.Load(ctx)
	if err != nil {
		return nil, err
	}
	c.api, c.cfg = sdk.NewFromConfig(cfg, c.configure), cfg
	return c.api, nil
}

// configure puts our bounds around what the SDK was configured with.
func (c *Client) configure(o *sdk.Options) {
	next := o.HTTPClient
	if c.options.HTTPClient != nil {
		next = c.options.HTTPClient
	}
	o.HTTPClient = strict{next}
	if o.RetryMaxAttempts == 0 { // AWS_MAX_ATTEMPTS leads otherwise
		o.RetryMaxAttempts = attempts
	}
	o.Retryer = retryer()
}

// request says what is asked and of what, for errors and for the IAM policy
// that a refusal must name.
type request struct {
	op      string // operation and object, for people
	service string // whose action it is, as IAM names it; empty for autoscaling
	action  string // IAM action without its prefix
	group   string // the group that the action's resource names; empty for any
}

// send carries out one request within callTimeout and classifies its error.
func send[In, Out any](
	ctx context.Context, c *Client, r request, in *In,
	operation func(*sdk.Client, context.Context, *In, ...func(*sdk.Options)) (*Out, error),
	options ...func(*sdk.Options),
) (*Out, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	api, err := c.service(ctx)
	if err != nil {
		return nil, loadFailure(r, err)
	}
	out, err := operation(api, ctx, in, options...)
	if err != nil {
		return nil, failure(r, api.Options().Region, err)
	}
	return out, nil
}
