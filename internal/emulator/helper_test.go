package emulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; nothing takes nearly as long.
const patience = 20 * time.Second

const (
	sharedToken  = "glrt-abcdefghij0123456789"
	legacyToken  = "legacy-abc"
	adminToken   = "glpat-admin"
	createToken  = "glpat-create"
	readToken    = "glpat-read"
	testSystemID = "s_1746f8786189"
)

func start(t *testing.T, opt Options) *Cloud {
	t.Helper()
	if opt.PollHold == 0 {
		opt.PollHold = patience
	}
	opt.AccessTokens = append(opt.AccessTokens,
		world.AccessToken{Token: adminToken, Scopes: []string{world.ScopeAPI}},
		world.AccessToken{Token: createToken, Scopes: []string{world.ScopeCreateRunner}},
		world.AccessToken{Token: readToken, Scopes: []string{world.ScopeReadAPI}})
	opt.RegistrationTokens = append(opt.RegistrationTokens, world.RegistrationToken{Token: legacyToken})
	opt.Runners = append(opt.Runners, world.NewRunner{Token: sharedToken, RunUntagged: true, Description: "shared"})
	c, err := Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return c
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	text   string
	json   any
}

func (r reply) field(name string) any {
	m, _ := r.json.(map[string]any)
	return m[name]
}

// call sends one request; a string body goes as it is, anything else as JSON.
func call(t *testing.T, method, url string, body any, header ...string) reply {
	t.Helper()
	r, err := tryCall(method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r
}

func tryCall(method, url string, body any, header ...string) (reply, error) {
	var in io.Reader = http.NoBody
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		in, kind = bytes.NewReader(data), "application/json"
	}
	req, err := http.NewRequest(method, url, in)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(req)
}

func send(req *http.Request) (reply, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(data)}
	_ = json.Unmarshal(data, &r.json)
	return r, err
}

// await polls until ok, or fails.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// awaitEvent reads events until one fits.
func awaitEvent[E world.Event](t *testing.T, c *Cloud, fits func(E) bool) E {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-c.Events():
			if v, ok := e.(E); ok && fits(v) {
				return v
			}
		case <-deadline:
			var none E
			t.Fatalf("no event %T came", none)
		}
	}
}

func anyEvent[E world.Event](E) bool { return true }

// instance starts a group of one and returns its id once it is up.
func instance(t *testing.T, c *Cloud) string {
	t.Helper()
	var err error
	c.Do(func(w *world.World, now time.Time) {
		err = w.CreateGroup(now, world.GroupSpec{Name: "ci", Max: 5, Desired: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	return awaitEvent(t, c, anyEvent[world.InstanceBooted]).ID
}
