package autoscaling

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestNewNeedsALoader(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("got no error")
	}
}

func TestStandardVariablesLead(t *testing.T) {
	s := serve(t, always(200, okBody))
	tests := []struct {
		name string
		env  map[string]string
	}{
		{"service endpoint", map[string]string{"AWS_ENDPOINT_URL_AUTO_SCALING": s.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}},
		{"endpoint", map[string]string{"AWS_ENDPOINT_URL": s.url}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnvironment(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if err := newClient(t, hc).SetDesired(t.Context(), "ci", 1); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRegion(t *testing.T) {
	cleanEnvironment(t)
	cfg, err := LoadConfig(t.Context(), testRegion, nil)
	if err != nil || cfg.Region != testRegion {
		t.Errorf("got %q, %v, want the one given", cfg.Region, err)
	}
	t.Setenv("AWS_REGION", "us-east-2")
	cfg, err = LoadConfig(t.Context(), testRegion, nil)
	if err != nil || cfg.Region != "us-east-2" {
		t.Errorf("got %q, %v, want the variable's", cfg.Region, err)
	}
	t.Setenv("AWS_REGION", "")
	_, err = LoadConfig(t.Context(), "", nil)
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Invalid || !strings.Contains(f.Mend, "AWS_REGION") {
		t.Errorf("got %v, want Invalid that names AWS_REGION", err)
	}
}

func TestUnknownProfileNamesTheVariable(t *testing.T) {
	cleanEnvironment(t)
	t.Setenv("AWS_PROFILE", "missing")
	_, err := LoadConfig(t.Context(), testRegion, nil)
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Invalid || !strings.Contains(f.Error(), "AWS_PROFILE") {
		t.Errorf("got %v, want Invalid that names AWS_PROFILE", err)
	}
}

// A failure to load belongs to the request that needed it, and the next request
// tries again.
func TestLoadFailureIsTheRequests(t *testing.T) {
	s := serve(t, always(200, okBody))
	cleanEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", s.url)
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	region := ""
	c, err := New(Options{HTTPClient: hc, Load: Cached(func(ctx context.Context) (aws.Config, error) { return LoadConfig(ctx, region, nil) })})
	if err != nil {
		t.Fatal(err)
	}
	err = c.SetDesired(t.Context(), "ci", 1)
	if want := `set desired capacity of group "ci" to 1: load AWS configuration: no region is known`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	region = testRegion
	for range 2 {
		if err := c.SetDesired(t.Context(), "ci", 1); err != nil {
			t.Error(err)
		}
	}
}

func TestPlainLoadErrorIsWrapped(t *testing.T) {
	boom := errors.New("boom")
	c, _ := New(Options{Load: func(context.Context) (aws.Config, error) { return aws.Config{}, boom }})
	_, err := c.Hooks(t.Context(), "ci")
	if want := `describe lifecycle hooks of group "ci": boom`; err == nil || err.Error() != want || !errors.Is(err, boom) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// AWS_CA_BUNDLE works with the standard client, and does not break loading with
// one of ours.
func TestCABundle(t *testing.T) {
	h := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, okBody)
	}))
	defer h.Close()
	cleanEnvironment(t)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	if err := os.WriteFile(bundle, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	t.Setenv("AWS_ENDPOINT_URL", h.URL)
	cfg, err := LoadConfig(t.Context(), testRegion, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.HTTPClient.(*http.Client).CloseIdleConnections()
	for name, hc := range map[string]*http.Client{"standard": cfg.HTTPClient.(*http.Client), "ours": h.Client()} {
		c := newClient(t, hc)
		if err := c.SetDesired(t.Context(), "ci", 1); err != nil {
			t.Errorf("%s client: %v", name, err)
		}
	}
}

func TestProxyIsHonoured(t *testing.T) {
	cleanEnvironment(t)
	cfg, err := LoadConfig(t.Context(), testRegion, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr, ok := cfg.HTTPClient.(*http.Client).Transport.(*http.Transport)
	if !ok || tr.Proxy == nil {
		t.Error("the standard client has no proxy function")
	}
	if err := cfg.HTTPClient.(*http.Client).CheckRedirect(nil, nil); !errors.Is(err, http.ErrUseLastResponse) {
		t.Error("redirects are followed")
	}
}

// An instance without a role: said, with the way to mend it, and tried again,
// since a role's credentials may appear some seconds after the launch.
func TestNoCredentials(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = io.WriteString(w, "token")
			return
		}
		http.NotFound(w, r)
	}))
	defer metadata.Close()
	s := serve(t, always(200, okBody))
	c := client(t, s.url)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	f := fleet.AsFailure("", c.SetDesired(t.Context(), "ci", 1))
	if f == nil || f.Kind != fleet.Temporary || f.Mend != mendCredentials {
		t.Errorf("got %v, want Temporary with a way to mend it", f)
	}
}

// The role's credentials come from the metadata service, by IMDSv2 only, and
// only when the first request is signed.
func TestRoleCredentials(t *testing.T) {
	asked := make(chan string, 16)
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		switch {
		case r.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = io.WriteString(w, "ci-runner")
		default:
			_, _ = io.WriteString(w, `{"Code":"Success","AccessKeyId":"ASIAROLE","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}`)
		}
	}))
	defer metadata.Close()
	cleanEnvironment(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	cfg, err := LoadConfig(t.Context(), testRegion, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 0 {
		t.Errorf("loading asked for %q", <-asked)
	}
	got, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "ASIAROLE" {
		t.Errorf("got %q, %v", got.AccessKeyID, err)
	}
}

func BenchmarkFirstCall(b *testing.B) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, okBody)
	}))
	defer h.Close()
	b.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	b.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	b.Setenv("AWS_ENDPOINT_URL", h.URL)
	for b.Loop() {
		c, _ := New(Options{Load: func(ctx context.Context) (aws.Config, error) { return LoadConfig(ctx, testRegion, nil) }})
		if err := c.SetDesired(b.Context(), "ci", 1); err != nil {
			b.Fatal(err)
		}
	}
}
