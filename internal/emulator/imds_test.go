package emulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-ci/shoal/internal/world"
)

func metadataClient(t *testing.T, url string) *imds.Client {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return imds.New(imds.Options{Endpoint: url, HTTPClient: client})
}

// read gives a path's text, or the status of the refusal.
func read(t *testing.T, client *imds.Client, path string) (string, int) {
	t.Helper()
	out, err := client.GetMetadata(context.Background(), &imds.GetMetadataInput{Path: path})
	var refused *smithyhttp.ResponseError
	if errors.As(err, &refused) {
		return "", refused.HTTPStatusCode()
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	body, err := io.ReadAll(out.Content)
	if err := errors.Join(err, out.Content.Close()); err != nil {
		t.Fatal(err)
	}
	return string(body), http.StatusOK
}

// TestMetadataSDK: the SDK's own client reads everything that there is.
func TestMetadataSDK(t *testing.T) {
	c := start(t, Options{})
	id := instance(t, c)
	client := metadataClient(t, c.MetadataURL(id))
	doc, err := client.GetInstanceIdentityDocument(context.Background(), nil)
	if err != nil || doc.InstanceID != id || doc.Region != "eu-central-1" || doc.AvailabilityZone != "eu-central-1a" || doc.AccountID != "000000000000" || doc.Architecture != "x86_64" {
		t.Errorf("identity: %+v, %v", doc, err)
	}
	deadline := time.Now().Add(time.Hour)
	for path, want := range map[string]string{
		"tags/instance/aws:autoscaling:groupName": "ci",
		"autoscaling/target-lifecycle-state":      "InService",
		"events/maintenance/scheduled":            "[]",
		"spot/instance-action":                    "",
		"events/recommendations/rebalance":        "",
		"no/such/path":                            "",
	} {
		got, status := read(t, client, path)
		if got != want || (want == "") != (status == http.StatusNotFound) {
			t.Errorf("%s: %d %q, want %q", path, status, got, want)
		}
	}
	c.Do(func(w *world.World, now time.Time) {
		err = errors.Join(w.Interrupt(now, id, time.Until(deadline)), w.RecommendRebalance(now, id),
			w.ScheduleMaintenance(now, id, world.Maintenance{Code: "system-reboot", EventID: "e1", NotBefore: deadline, NotAfter: deadline}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, client, "spot/instance-action"); got != `{"action":"terminate","time":"`+deadline.UTC().Format("2006-01-02T15:04:05Z")+`"}` {
		t.Errorf("spot: %s", got)
	}
	if got, _ := read(t, client, "events/recommendations/rebalance"); got == "" {
		t.Error("no rebalance recommendation")
	}
	if got, _ := read(t, client, "events/maintenance/scheduled"); got == "[]" {
		t.Error("no maintenance")
	}
}

// TestMetadataTokens: the rules of IMDSv2, status by status.
func TestMetadataTokens(t *testing.T) {
	c := start(t, Options{})
	url := c.MetadataURL(instance(t, c))
	path := url + "/latest/meta-data/instance-id"
	for ttl, want := range map[string]int{"": 400, "0": 400, "21601": 400, "six": 400, "-1": 400, "1": 200, "21600": 200} {
		got := call(t, "PUT", url+"/latest/api/token", nil, "X-aws-ec2-metadata-token-ttl-seconds", ttl)
		if got.status != want {
			t.Errorf("TTL %q: %d, want %d", ttl, got.status, want)
		}
		if want == 200 && got.header.Get("X-aws-ec2-metadata-token-ttl-seconds") != ttl {
			t.Errorf("TTL %q is not said again: %v", ttl, got.header)
		}
	}
	if got := call(t, "PUT", url+"/latest/api/token", nil, "X-aws-ec2-metadata-token-ttl-seconds", "60", "X-Forwarded-For", "10.0.0.1"); got.status != 403 {
		t.Errorf("through a proxy: %d, want 403", got.status)
	}
	if got := call(t, "GET", path, nil); got.status != 401 {
		t.Errorf("without a token: %d, want 401", got.status)
	}
	if got := call(t, "GET", path, nil, "X-aws-ec2-metadata-token", "forged"); got.status != 401 {
		t.Errorf("with a forged token: %d, want 401", got.status)
	}
	if got := call(t, "GET", url+"/latest/api/token", nil); got.status != 405 && got.status != 401 {
		t.Errorf("GET of the token: %d", got.status)
	}
}

// TestMetadataTokenEnds: a token is good until its TTL is over, to the second.
func TestMetadataTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{NoListen: true, Groups: []world.GroupSpec{{Name: "ci", Max: 1, Desired: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var id string
		for e := range c.Events() {
			if v, ok := e.(world.InstanceBooted); ok {
				id = v.ID
				break
			}
		}
		ask := func(method, path, header, value string) (int, string) {
			r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			r.Header.Set(header, value)
			w := httptest.NewRecorder()
			c.MetadataHandler(id).ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		_, token := ask("PUT", "/latest/api/token", headerTokenTTL, "21600")
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 200}, {21599 * time.Second, 200}, {21600 * time.Second, 401}} {
			after, want := tt.after, tt.want
			time.Sleep(time.Until(c.Records().Instances[0].BootedAt.Add(after))) // virtual
			if got, _ := ask("GET", "/latest/meta-data/instance-id", headerToken, token); got != want {
				t.Errorf("after %v: %d, want %d", after, got, want)
			}
		}
	})
}

// TestMetadataFollowsTheGroup: the target changes with the group's will, and a
// dead machine's service is gone.
func TestMetadataFollowsTheGroup(t *testing.T) {
	c := start(t, Options{Groups: []world.GroupSpec{{
		Name: "ci", Max: 1, Desired: 1, NoTagsInMetadata: true,
		Hooks: []world.Hook{{Name: "end", Transition: world.AtTermination, HeartbeatTimeout: time.Hour}},
	}}})
	id := awaitEvent(t, c, anyEvent[world.InstanceBooted]).ID
	url := c.MetadataURL(id)
	client := metadataClient(t, url)
	if _, status := read(t, client, "tags/instance/aws:autoscaling:groupName"); status != 404 {
		t.Errorf("a tag that the template does not allow: %d", status)
	}
	c.Do(func(w *world.World, now time.Time) { _, _ = w.Terminate(now, id, true) })
	if got, _ := read(t, client, "autoscaling/target-lifecycle-state"); got != "Terminated" {
		t.Errorf("target %q, want Terminated", got)
	}
	if err := c.Crash(id); err != nil {
		t.Fatal(err)
	}
	if c.MetadataURL(id) != "" || c.MetadataHandler(id) != nil {
		t.Error("a dead machine still has a metadata service")
	}
	if _, err := tryCall("PUT", url+"/latest/api/token", nil); err == nil {
		t.Error("a dead machine's service still answers")
	}
}

// TestMetadataFaults: what a sick service does.
func TestMetadataFaults(t *testing.T) {
	c := start(t, Options{})
	id := instance(t, c)
	token := call(t, "PUT", c.MetadataURL(id)+"/latest/api/token", nil, headerTokenTTL, "60").text
	for name, f := range map[string]Fault{"garbage": {Status: 200, Body: "<html>"}, "unauthorized": {Status: 401}, "sick": {Status: 503}} {
		c.SetFault(func(q Request) Fault {
			if q.Operation == "GET /latest/meta-data/spot/instance-action" && q.Instance == id {
				return f
			}
			return Fault{}
		})
		got := call(t, "GET", c.MetadataURL(id)+"/latest/meta-data/spot/instance-action", nil, headerToken, token)
		if got.status != f.Status || got.text != f.Body {
			t.Errorf("%s: %d %q", name, got.status, got.text)
		}
	}
}
