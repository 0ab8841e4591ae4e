package autoscaling

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	alive = "i-0a00000000000000a"
	dead  = "i-0d00000000000000d"
	lost  = "i-0e00000000000000e"
)

// reservations is an answer as EC2's reference shows it, with next for its token.
func reservations(next string, states ...string) string {
	var b strings.Builder
	for i := 0; i < len(states); i += 2 {
		fmt.Fprintf(&b, `<item><reservationId>r-1234567890abcdef0</reservationId><ownerId>123456789012</ownerId><groupSet/>
  <instancesSet><item><instanceId>%s</instanceId><imageId>ami-bff32ccc</imageId><instanceState><code>16</code><name>%s</name></instanceState>
  <placement><availabilityZone>eu-west-1c</availabilityZone></placement></item></instancesSet></item>`, states[i], states[i+1])
	}
	if next != "" {
		next = "<nextToken>" + next + "</nextToken>"
	}
	return `<?xml version="1.0" encoding="UTF-8"?><DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>8f7724cf-496f-496e-8fe3-example</requestId><reservationSet>` + b.String() + `</reservationSet>` + next + `</DescribeInstancesResponse>`
}

func refusal(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error></Errors><RequestID>x</RequestID></Response>`
}

func TestInstances(t *testing.T) {
	var signature string
	s := serve(t, func(w http.ResponseWriter, n int, form url.Values) {
		if n == 1 {
			always(200, reservations("more", alive, "running"))(w, n, form)
			return
		}
		always(200, reservations("", dead, "terminated"))(w, n, form)
	})
	c := client(t, s.url)
	t.Setenv("AWS_ENDPOINT_URL_EC2", s.url)
	c.options.HTTPClient = &http.Client{Transport: tap(func(r *http.Request) { signature = r.Header.Get("Authorization") })}
	got, err := c.Instances(t.Context(), []string{alive, dead, lost})
	want := []fleet.EC2Instance{{ID: alive, State: "running"}, {ID: dead, State: fleet.EC2Terminated}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if form := s.seen()[1]; form.Get("Action") != "DescribeInstances" || form.Get("Version") != "2016-11-15" || form.Get("Filter.1.Name") != "instance-id" ||
		form.Get("Filter.1.Value.3") != lost || form.Get("NextToken") != "more" {
		t.Errorf("asked %v", form)
	}
	if !strings.HasPrefix(signature, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || !strings.Contains(signature, "/"+testRegion+"/ec2/aws4_request") {
		t.Errorf("signed %q", signature)
	}
	if got, err := c.Instances(t.Context(), nil); err == nil {
		t.Errorf("no instance at all: got %v", got)
	}
}

// tap sees every request.
type tap func(*http.Request)

func (f tap) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	t := &http.Transport{DisableKeepAlives: true}
	return t.RoundTrip(r)
}

// TestInstancesUnbelieved: an answer that is not whole would have instances look
// gone.
func TestInstancesUnbelieved(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   fleet.FailureKind
		mend   string
	}{
		"empty":               {200, "", fleet.Temporary, ""},
		"a login page":        {200, "<html><body>Sign in</body></html>", fleet.Temporary, ""},
		"another answer":      {200, okBody, fleet.Temporary, ""},
		"no list":             {200, "<DescribeInstancesResponse></DescribeInstancesResponse>", fleet.Temporary, ""},
		"cut":                 {200, reservations("", alive, "running")[:300], fleet.Temporary, ""},
		"no state":            {200, reservations("", alive, ""), fleet.Temporary, ""},
		"always a next page":  {200, reservations("more", alive, "running"), fleet.Temporary, ""},
		"throttled":           {503, refusal("RequestLimitExceeded", "Request limit exceeded."), fleet.Throttled, ""},
		"denied":              {403, refusal("UnauthorizedOperation", "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/reaper/x is not authorized to perform: ec2:DescribeInstances"), fleet.Denied, "allow ec2:DescribeInstances on * for role reaper"},
		"unknown credentials": {401, refusal("AuthFailure", "AWS was not able to validate the provided access credentials"), fleet.Denied, ""},
		"ill":                 {500, refusal("InternalError", "An internal error has occurred"), fleet.Temporary, ""},
		"a proxy's error":     {502, "<html>Bad Gateway</html>", fleet.Temporary, ""},
		"a bad request":       {400, refusal("InvalidParameterValue", "The filter is invalid"), fleet.Invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, always(c.status, c.body))
			api := client(t, s.url)
			t.Setenv("AWS_ENDPOINT_URL_EC2", s.url)
			got, err := api.Instances(t.Context(), []string{alive})
			expect(t, name, err, c.kind)
			if f := fleet.AsFailure("", err); f != nil && (len(got) > 0 || !strings.Contains(f.Mend, c.mend) || !strings.HasPrefix(f.Op, "describe instances")) {
				t.Errorf("got %v, %+v", got, f)
			}
		})
	}
}

// TestEC2Endpoint: the standard variables lead, else each partition's own.
func TestEC2Endpoint(t *testing.T) {
	for _, c := range []struct {
		region string
		env    map[string]string
		want   string
	}{
		{"eu-west-1", nil, "https://ec2.eu-west-1.amazonaws.com/"},
		{"cn-north-1", nil, "https://ec2.cn-north-1.amazonaws.com.cn/"},
		{"us-gov-west-1", nil, "https://ec2.us-gov-west-1.amazonaws.com/"},
		{"us-east-1", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "https://ec2-fips.us-east-1.amazonaws.com/"},
		{"us-east-1", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://ec2.us-east-1.api.aws/"},
		{"us-east-1", map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_EC2": "http://ec2"}, "http://ec2"},
		{"us-east-1", map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_AUTO_SCALING": "http://group"}, "http://all"},
		{"us-east-1", map[string]string{"AWS_ENDPOINT_URL_EC2": "http://ec2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://ec2.us-east-1.amazonaws.com/"},
	} {
		cleanEnvironment(t)
		for _, name := range []string{"AWS_ENDPOINT_URL_EC2", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"} {
			t.Setenv(name, c.env[name])
		}
		for name, value := range c.env {
			t.Setenv(name, value)
		}
		t.Setenv("AWS_REGION", c.region)
		client := newClient(t, nil)
		api, err := client.service(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.ec2Endpoint(t.Context(), api.Options()); err != nil || got != c.want {
			t.Errorf("%s %v: got %q, %v, want %q", c.region, c.env, got, err, c.want)
		}
	}
}

// TestInstancesAgainstMoto: an independent EC2 understands the question.
func TestInstancesAgainstMoto(t *testing.T) {
	c, api := motoClient(t)
	makeGroup(t, api)
	t.Setenv("AWS_ENDPOINT_URL_EC2", aws.ToString(api.Options().BaseEndpoint))
	id := mustGroup(t.Context(), t, c).Instances[0].ID
	got, err := c.Instances(t.Context(), []string{id, lost})
	if err != nil || len(got) != 1 || got[0].ID != id || got[0].State != "running" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := api.TerminateInstanceInAutoScalingGroup(t.Context(), &sdk.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	got, err = c.Instances(t.Context(), []string{id})
	if err != nil || len(got) != 1 || got[0].State != fleet.EC2Terminated {
		t.Errorf("terminated: got %v, %v", got, err)
	}
	got, err = c.Instances(t.Context(), []string{lost})
	if err != nil || len(got) != 0 {
		t.Errorf("unknown: got %v, %v", got, err)
	}
}
