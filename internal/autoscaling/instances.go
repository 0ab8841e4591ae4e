package autoscaling

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// What EC2 takes: the version of its API, and values in one filter.
const (
	ec2Version   = "2016-11-15"
	mostFiltered = 200
)

// Instances asks EC2 which of these instances it knows, and in which state, with
// DescribeInstances. The ids are a filter: by name, one that is gone would fail
// the whole request.
//
// The request is written here and signed by the SDK's signer: the SDK's module
// for EC2 takes longer to build than all of Shoal, for two fields of one answer.
func (c *Client) Instances(ctx context.Context, ids []string) ([]fleet.EC2Instance, error) {
	r := request{op: "describe instances", service: "ec2", action: "DescribeInstances"}
	if len(ids) == 0 || len(ids) > mostFiltered {
		return nil, &fleet.Failure{Kind: fleet.Invalid, Op: r.op, Message: fmt.Sprintf("one request names 1 to %d", mostFiltered)}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	api, err := c.service(ctx)
	if err != nil {
		return nil, loadFailure(r, err)
	}
	form := url.Values{"Action": {r.action}, "Version": {ec2Version}, "Filter.1.Name": {"instance-id"}}
	for i, id := range ids {
		form.Set("Filter.1.Value."+strconv.Itoa(i+1), id)
	}
	var found []fleet.EC2Instance
	for range maxPages {
		page, err := c.instancesPage(ctx, api.Options(), form)
		if err != nil {
			return nil, failure(r, api.Options().Region, err)
		}
		found = append(found, page.instances()...)
		if page.Next == "" {
			return found, nil
		}
		form.Set("NextToken", page.Next)
	}
	// Half an answer would have the other half look gone.
	return nil, &fleet.Failure{Op: r.op, Message: fmt.Sprintf("the answer has more than %d pages", maxPages)}
}

// instancesAnswer is what is read of DescribeInstancesResponse.
type instancesAnswer struct {
	XMLName      xml.Name `xml:"DescribeInstancesResponse"`
	Reservations *struct {
		Items []struct {
			Instances []struct {
				ID    string `xml:"instanceId"`
				State string `xml:"instanceState>name"`
			} `xml:"instancesSet>item"`
		} `xml:"item"`
	} `xml:"reservationSet"`
	Next string `xml:"nextToken"`
}

func (a *instancesAnswer) instances() (list []fleet.EC2Instance) {
	for _, r := range a.Reservations.Items {
		for _, i := range r.Instances {
			list = append(list, fleet.EC2Instance{ID: i.ID, State: fleet.EC2State(i.State)})
		}
	}
	return list
}

// instancesPage sends one request, over the SDK's client and so with all that it
// was configured with.
func (c *Client) instancesPage(ctx context.Context, o sdk.Options, form url.Values) (*instancesAnswer, error) {
	endpoint, err := c.ec2Endpoint(ctx, o)
	if err != nil {
		return nil, err
	}
	body := []byte(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if err := sign(ctx, o, req, body); err != nil {
		return nil, err
	}
	resp, err := o.HTTPClient.Do(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	defer func() { _ = resp.Body.Close() }() // strict has read it whole
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: ec2Error(data)}
	}
	return readInstances(data)
}

// readInstances believes an answer only if it has the list, be it empty.
func readInstances(data []byte) (*instancesAnswer, error) {
	var a instancesAnswer
	if err := xml.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("not an answer to DescribeInstances: %w", err)
	}
	if a.Reservations == nil {
		return nil, errors.New("the answer lacks reservationSet")
	}
	for _, i := range a.instances() {
		if i.ID == "" || i.State == "" {
			return nil, errors.New("the answer lacks an instance's id or state")
		}
	}
	return &a, nil
}

func sign(ctx context.Context, o sdk.Options, req *http.Request, body []byte) error {
	credentials, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("get identity: get credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	return v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "ec2", o.Region, time.Now())
}

// ec2Error is the error that EC2 wrote, whose form differs from Auto Scaling's;
// one without a code is somebody else's.
func ec2Error(body []byte) error {
	var e struct {
		Code    string `xml:"Errors>Error>Code"`
		Message string `xml:"Errors>Error>Message"`
	}
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" {
		return errors.New("no error of EC2 in it")
	}
	return &smithy.GenericAPIError{Code: e.Code, Message: e.Message}
}

// ec2Endpoint is where EC2 is: where AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL or the
// shared files say, else beside Auto Scaling, whose address the SDK knows for
// every partition.
func (c *Client) ec2Endpoint(ctx context.Context, o sdk.Options) (string, error) {
	if own, err := configuredEndpoint(ctx, c.cfg, "EC2"); own != "" || err != nil {
		return own, err
	}
	at, err := sdk.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sdk.EndpointParameters{
		Region:       aws.String(o.Region),
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return "", err
	}
	at.URI.Host = strings.Replace(at.URI.Host, "autoscaling", "ec2", 1)
	return at.URI.Scheme + "://" + at.URI.Host + "/", nil
}

// configuredEndpoint is what the SDK's own clients ask their configuration for.
func configuredEndpoint(ctx context.Context, cfg aws.Config, service string) (string, error) {
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
		}); ok {
			if ignore, found, err := s.GetIgnoreConfiguredEndpoints(ctx); err == nil && found && ignore {
				return "", nil
			}
		}
	}
	for _, source := range cfg.ConfigSources {
		s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		})
		if !ok {
			continue
		}
		if at, found, err := s.GetServiceBaseEndpoint(ctx, service); err != nil || found {
			return at, err
		}
	}
	return aws.ToString(cfg.BaseEndpoint), nil
}
