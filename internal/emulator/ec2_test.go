package emulator

import (
	"net/url"
	"strings"
	"testing"
)

// signedForEC2 is a header that a client of EC2 sends.
const signedForEC2 = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=0"

func askEC2(t *testing.T, c *Cloud, form url.Values) reply {
	t.Helper()
	return call(t, "POST", c.AutoScalingURL(), form.Encode(), "Authorization", signedForEC2, "Content-Type", "application/x-www-form-urlencoded")
}

// TestEC2Face: instances by filter, in EC2's form; who is not there is left out.
func TestEC2Face(t *testing.T) {
	c := start(t, Options{})
	id := instance(t, c)
	form := url.Values{"Action": {"DescribeInstances"}, "Version": {ec2Version}, "Filter.1.Name": {"instance-id"}, "Filter.1.Value.1": {id}, "Filter.1.Value.2": {"i-0none"}}
	r := askEC2(t, c, form)
	if r.status != 200 || strings.Count(r.text, "<instanceId>") != 1 || !strings.Contains(r.text, "<instancesSet><item><instanceId>"+id+"</instanceId><instanceState><code>16</code><name>running</name></instanceState>") {
		t.Errorf("got %d %s", r.status, r.text)
	}
	form.Set("Filter.1.Value.1", "i-0other")
	if r := askEC2(t, c, form); r.status != 200 || !strings.Contains(r.text, "<reservationSet></reservationSet>") {
		t.Errorf("nobody: got %d %s", r.status, r.text)
	}
	for what, change := range map[string][2]string{
		"another action": {"Action", "TerminateInstances"}, "another version": {"Version", "2011-01-01"},
		"another filter": {"Filter.1.Name", "tag:Name"}, "two filters": {"Filter.2.Name", "tag:Name"},
	} {
		bad := url.Values{}
		for k, v := range form {
			bad[k] = v
		}
		bad.Set(change[0], change[1])
		if r := askEC2(t, c, bad); r.status != 400 || !strings.Contains(r.text, "<Response><Errors><Error><Code>Invalid") {
			t.Errorf("%s: got %d %s", what, r.status, r.text)
		}
	}
	form.Del("Filter.1.Value.1")
	if r := askEC2(t, c, form); r.status != 400 {
		t.Errorf("an empty filter: got %d %s", r.status, r.text)
	}
}
