package autoscaling

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// credentialTimeout bounds each try for the instance role's credentials: the
// metadata service is on the same host and answers in milliseconds.
const credentialTimeout = 2 * time.Second

// LoadConfig reads the SDK's standard configuration: variables, shared files,
// the default chain of credentials. It makes no request: credentials are fetched
// when the first call is signed. region is used where neither a variable nor a
// file names one. hc carries the calls; nil means a client with the standard
// proxies and AWS_CA_BUNDLE. Errors are *fleet.Failure.
func LoadConfig(ctx context.Context, region string, hc *http.Client) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithDefaultRegion(region),
		config.WithLogger(logging.Nop{}), // the SDK's own lines on stderr would stand outside our log
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = roleCredentials(hc) }),
	)
	if err != nil {
		return aws.Config{}, configFailure(err)
	}
	if cfg.Region == "" {
		return aws.Config{}, &fleet.Failure{
			Kind: fleet.Invalid, Op: "load AWS configuration", Message: "no region is known",
			Mend: "set AWS_REGION, or let the instance read its identity document",
		}
	}
	// The client is put in only now: the SDK refuses to load with AWS_CA_BUNDLE
	// and a client of ours together.
	if hc == nil {
		hc = plainClient(cfg.HTTPClient)
	}
	cfg.HTTPClient = hc
	return cfg, nil
}

// Cached returns load with its first success remembered, so that several edges
// share one set of credentials.
func Cached(load func(context.Context) (aws.Config, error)) func(context.Context) (aws.Config, error) {
	var mu sync.Mutex
	var cfg *aws.Config
	return func(ctx context.Context) (aws.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if cfg != nil {
			return *cfg, nil
		}
		c, err := load(ctx)
		if err != nil {
			return aws.Config{}, err
		}
		cfg = &c
		return c, nil
	}
}

// plainClient is an http.Client over the transport that the SDK prepared: its
// proxies and its CA bundle. Redirects are not followed: a signed request is
// meant for one host.
func plainClient(c aws.HTTPClient) *http.Client {
	b, ok := c.(*awshttp.BuildableClient)
	if !ok {
		b = awshttp.NewBuildableClient()
	}
	return &http.Client{
		Transport:     b.GetTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// roleCredentials is the metadata client for the instance role's credentials. It
// is a plain client: the SDK replaces the dialer of its own kind. It never goes
// through a proxy, which would hand out the proxy's role, and never falls back
// to IMDSv1.
func roleCredentials(hc *http.Client) *imds.Client {
	if hc == nil {
		hc = &http.Client{
			Timeout: credentialTimeout,
			Transport: &http.Transport{
				DialContext:       (&net.Dialer{Timeout: credentialTimeout}).DialContext,
				DisableKeepAlives: true, // once an hour; an idle connection would be a leak
			},
		}
	}
	o := imds.Options{HTTPClient: hc, EnableFallback: aws.FalseTernary}
	if strings.EqualFold(os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
		o.EndpointMode = imds.EndpointModeStateIPv6
	}
	return imds.New(o)
}

func configFailure(err error) error {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: "load AWS configuration", Message: bounded(err.Error()), Err: err,
		Mend: "check AWS_PROFILE, AWS_CA_BUNDLE and the files in ~/.aws",
	}
}
