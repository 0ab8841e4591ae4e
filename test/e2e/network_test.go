package e2e_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// late is a handler that is there once the cloud is.
type late struct{ h atomic.Pointer[http.Handler] }

func (l *late) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := l.h.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	http.Error(w, "not yet", http.StatusServiceUnavailable)
}

func (l *late) is(h http.Handler) { l.h.Store(&h) }

// privateGitLab serves the site's GitLab with a certificate that no machine knows.
func privateGitLab(t *testing.T) (server *httptest.Server, gitlab *late, ca string) {
	t.Helper()
	gitlab = &late{}
	server = httptest.NewUnstartedServer(gitlab)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what this is about
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	return server, gitlab, ca
}

func TestGitLabWithPrivateCA(t *testing.T) {
	t.Parallel()
	server, gitlab, ca := privateGitLab(t)
	s := open(t, inMode("create"), func(p *plan) {
		p.settings["gitlab.url"], p.settings["gitlab.ca_file"] = server.URL, ca
		p.machines.Template = "concurrent = 1\ncheck_interval = 1\n[[runners]]\nexecutor = \"shell\"\ntls-ca-file = \"" + ca + "\"\n"
	})
	gitlab.is(s.cloud.GitLabHandler())
	id := s.up()
	s.works()
	s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
	s.gone(id)
	s.noGhosts()
}

func TestGitLabWithUnknownCA(t *testing.T) {
	t.Parallel()
	server, gitlab, _ := privateGitLab(t)
	s := open(t, inMode("create"), func(p *plan) { p.single, p.settings["gitlab.url"] = true, server.URL })
	gitlab.is(s.cloud.GitLabHandler())
	s.first()
	s.untilSaid("WARN", "init", "certificate", "set gitlab.ca_file")
	if own := s.own("create"); len(own) != 0 {
		t.Errorf("GitLab has %+v, want nothing", own)
	}
}

// TestGitLabThroughProxy: the host of gitlab.url exists for the proxy only.
func TestGitLabThroughProxy(t *testing.T) {
	t.Parallel()
	const host = "gitlab.test"
	var target atomic.Pointer[url.URL]
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if r.In.URL.Host == host && target.Load() != nil {
				r.SetURL(target.Load())
			}
		},
		ErrorLog: log.New(io.Discard, "", 0), // polls that are cancelled
	})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	s := open(t, inMode("create"), func(p *plan) {
		p.settings["gitlab.url"] = "http://" + host
		p.machines.Env = append(p.machines.Env, "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	})
	u, err := url.Parse(s.cloud.GitLabURL())
	if err != nil {
		t.Fatal(err)
	}
	target.Store(u)
	id := s.up()
	s.works()
	s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
	s.gone(id)
	s.noGhosts()
}
