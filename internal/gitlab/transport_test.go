package gitlab

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// canned answers every request alike.
type canned struct {
	code       int
	body, wait string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{}
	h.Set("Retry-After", c.wait)
	return &http.Response{StatusCode: c.code, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}

func yes(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":12}`) }

func caFile(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tlsServer(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(yes))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are wanted here
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestPrivateCA(t *testing.T) {
	srv := tlsServer(t)
	c := client(t, Options{URL: srv.URL, CAFile: caFile(t, srv)})
	defer c.Close()
	if err := verify(t, c); err != nil {
		t.Error(err)
	}
	strict := client(t, Options{URL: srv.URL})
	defer strict.Close()
	f := failure(t, verify(t, strict), fleet.Temporary)
	if !strings.Contains(f.Mend, "gitlab.ca_file") {
		t.Errorf("mend %q, want gitlab.ca_file", f.Mend)
	}
	other := client(t, Options{URL: strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), CAFile: caFile(t, srv)})
	defer other.Close()
	f = failure(t, verify(t, other), fleet.Temporary)
	if !strings.Contains(f.Mend, "host name") {
		t.Errorf("mend %q, want the host name", f.Mend)
	}
}

func TestNetworkFailures(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(yes))
	defer plain.Close()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := lis.Addr().String()
	_ = lis.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer broken.Close()
	for _, tt := range []struct{ name, url, want string }{
		{"nothing listens", "http://" + closed, "connection refused"},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), "http:// and https://"},
		{"cut off", broken.URL, "EOF"},
		{"no such host", "http://gitlab.invalid", "gitlab.url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, Options{URL: tt.url})
			defer c.Close()
			f := failure(t, verify(t, c), fleet.Temporary)
			if !strings.Contains(f.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", f.Error(), tt.want)
			}
		})
	}
}

func TestHangs(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "verify") {
			_, _ = io.WriteString(w, `{"id":`) // half an answer
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	defer srv.Close()
	defer close(release)
	c := client(t, Options{URL: srv.URL, Timeout: 50 * time.Millisecond})
	defer c.Close()
	for _, do := range []call{verify, create, remove} {
		f := failure(t, do(t, c), fleet.Temporary)
		if !errors.Is(f, context.DeadlineExceeded) || !strings.Contains(f.Error(), "no answer in time") {
			t.Errorf("got %v", f)
		}
	}
}

func TestRedirects(t *testing.T) {
	var headers []string
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers = append(headers, r.Header.Get("Private-Token"))
		yes(w, r)
	}))
	defer target.Close()
	to := func(code int, url string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/moved/") {
				_, _ = io.WriteString(w, `{"id":12,"token":"glrt-new"}`)
				return
			}
			http.Redirect(w, r, url+"/moved"+r.URL.Path, code) //nolint:gosec // a test's redirect
		}))
	}
	other := strings.Replace(target.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name, url string
		code      int
		fails     bool
	}{
		{"a POST kept as one, same host", "", 307, false},
		{"a POST made a GET", "", 301, true},
		{"another host", other, 308, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := to(tt.code, tt.url)
			defer srv.Close()
			c := client(t, Options{URL: srv.URL})
			defer c.Close()
			err := create(t, c)
			if !tt.fails {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f := failure(t, err, fleet.Invalid)
			if !strings.Contains(f.Mend, "gitlab.url") || !strings.Contains(f.Message, "redirected") {
				t.Errorf("got %q, %q", f.Message, f.Mend)
			}
		})
	}
	if len(headers) != 0 {
		t.Errorf("another host got tokens: %q", headers)
	}
}

func TestCheckRedirect(t *testing.T) {
	request := func(method, url string) *http.Request {
		return httptest.NewRequest(method, url, nil)
	}
	for _, tt := range []struct {
		name, method, from, to string
		hops                   int
		fails                  bool
	}{
		{"to https", "GET", "http://gitlab.example/a", "https://gitlab.example/a", 1, false},
		{"another port", "GET", "https://gitlab.example/a", "https://gitlab.example:8443/a", 1, false},
		{"from https to http", "GET", "https://gitlab.example/a", "http://gitlab.example/a", 1, true},
		{"another host", "GET", "https://gitlab.example/a", "https://sso.example/a", 1, true},
		{"a loop", "GET", "https://gitlab.example/a", "https://gitlab.example/a", maxRedirects, true},
	} {
		via := make([]*http.Request, tt.hops)
		for i := range via {
			via[i] = request(tt.method, tt.from)
		}
		if err := checkRedirect(request(tt.method, tt.to), via); (err != nil) != tt.fails || err != nil && !errors.Is(err, errRedirect) {
			t.Errorf("%s: got %v, want a refusal: %v", tt.name, err, tt.fails)
		}
	}
}

const childEnv = "GITLAB_TEST_CHILD"

// child is this test program again, with the environment that its parent wants:
// Go reads the proxy's variables and SSL_CERT_FILE once in a process.
func child() int {
	c, err := New(Options{URL: os.Getenv(childEnv), CAFile: os.Getenv("GITLAB_TEST_CA")})
	if err == nil {
		_, err = c.Verify(context.Background(), fleet.NewToken(runnerSecret), "s_0123456789ab")
	}
	fmt.Println(err)
	return 0
}

func runChild(t *testing.T, url string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(env, childEnv+"="+url, "HOME=/nonexistent", "GOCOVERDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestSSLCertFile(t *testing.T) {
	srv := tlsServer(t)
	if got := runChild(t, srv.URL, "SSL_CERT_FILE="+caFile(t, srv)); got != "<nil>" {
		t.Errorf("got %s", got)
	}
}

// TestProxy asks for example.com, which the test server's certificate is for, and
// which only the proxy leads to it.
func TestProxy(t *testing.T) {
	gitlab := tlsServer(t)
	plain := httptest.NewServer(http.HandlerFunc(yes))
	defer plain.Close()
	proxied := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") == "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		proxied <- r.Method + " " + r.Host
		if r.Method == http.MethodConnect {
			tunnel(w, strings.TrimPrefix(gitlab.URL, "https://"))
			return
		}
		yes(w, r)
	}))
	defer proxy.Close()
	withPassword := strings.Replace(proxy.URL, "http://", "http://user:secret@", 1)
	ca := "GITLAB_TEST_CA=" + caFile(t, gitlab)

	if got := runChild(t, "https://example.com", ca, "HTTPS_PROXY="+withPassword); got != "<nil>" {
		t.Errorf("https: %s", got)
	} else if via := <-proxied; via != "CONNECT example.com:443" {
		t.Errorf("https went %q", via)
	}
	if got := runChild(t, "http://example.com", "HTTP_PROXY="+withPassword); got != "<nil>" {
		t.Errorf("http: %s", got)
	} else if via := <-proxied; via != "POST example.com" {
		t.Errorf("http went %q", via)
	}
	for _, scheme := range []string{"http", "https"} {
		got := runChild(t, scheme+"://example.com", "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL)
		if !strings.Contains(got, "proxy's name and password") || strings.Contains(got, "secret") {
			t.Errorf("%s without a password: %s", scheme, got)
		}
	}
}

// tunnel joins a CONNECT with a server.
func tunnel(w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close() //nolint:errcheck // the tunnel's end
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close() //nolint:errcheck // the tunnel's end
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
	_ = here.Close()
	<-done
}
