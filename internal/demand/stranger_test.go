package demand

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestStrangersKeepNoConnection: they would keep all there are, and GitLab out.
func TestStrangersKeepNoConnection(t *testing.T) {
	right := "X-Gitlab-Event: Job Hook\r\nX-Gitlab-Token: " + secret + "\r\n"
	for request, c := range map[string]struct {
		header string
		code   int
		kept   bool
	}{
		"POST /hook":   {right, 200, true},
		"POST /":       {"X-Gitlab-Token: " + secret + "\r\n", 204, true},
		"POST /hook2":  {"", 401, false},
		"POST /hook3":  {"X-Gitlab-Token: x\r\n", 401, false},
		"POST /readyz": {"", 401, false},
		"GET /hook":    {"", 405, false},
		"GET /hook2":   {right, 405, false},
		"PUT /hook":    {"", 405, false},
		"OPTIONS *":    {"", 405, false},
		"GET /healthz": {"", 200, false},
		"GET /readyz":  {"", 200, false},
		"GET /metrics": {"", 200, false},
		"HEAD /readyz": {"", 200, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := bare(t)
			s.AWS = nobody{}
			l := &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
			st := &site{t: t, service: s}
			st.run(l, Certificate{})
			defer st.stop()
			conn := l.dial()
			defer conn.Close()
			code, kept := speak(t, conn, request, c.header)
			if code != c.code || kept != c.kept {
				t.Errorf("%s: answered %d, want %d; kept %v, want %v", request, code, c.code, kept, c.kept)
			}
		})
	}
}

// speak sends a request twice over one connection. It returns the answer, and whether
// there was a second one.
func speak(t *testing.T, conn net.Conn, request, header string) (code int, kept bool) {
	t.Helper()
	body, from := event(7, 1, "pending", ""), bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	for range 2 {
		if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", request, header, len(body), body); err != nil {
			return code, false
		}
		answer, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			return code, false
		}
		code = answer.StatusCode
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	return code, true
}

// TestAnyPathWillDo: GitLab follows no redirection.
func TestAnyPathWillDo(t *testing.T) {
	s, _ := bare(t)
	for _, path := range []string{"/", "/hook", "//hook", "/hook/", "/a/../b", "/a//b", "/./", "/healthz", "/metrics"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(event(1, 1, "pending", "")))
		r.URL.Path, r.RequestURI = path, path
		r.Header.Set("X-Gitlab-Token", secret)
		r.Header.Set("X-Gitlab-Event", "Job Hook")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%s: answered %d", path, w.Code)
		}
	}
}

// TestConnectionsAreBounded: one more is taken in once another is closed.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
		l, taken := bounded(inner, nil), make(chan net.Conn, maxConnections+1)
		go func() {
			defer close(taken)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				taken <- c
			}
		}()
		for range maxConnections {
			defer inner.dial().Close()
		}
		go func() { defer inner.dial().Close() }()
		synctest.Wait()
		if n := len(taken); n != maxConnections {
			t.Errorf("%d connections are open", n)
		}
		first := <-taken
		_ = first.Close()
		_ = first.Close() // twice makes room for one
		synctest.Wait()
		if n := len(taken); n != maxConnections {
			t.Errorf("%d connections are open after one was closed", n)
		}
		_ = l.Close()
		for c := range taken {
			_ = c.Close()
		}
	})
}

// TestStrangersOfOneAddress do not keep others out, nor those from there who show the
// secret; where one leaves there is room for one.
func TestStrangersOfOneAddress(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, log := bare(t)
		s.AWS = nobody{}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		st, c := &site{t: t, service: s}, Certificate{}
		if secure {
			dir := t.TempDir()
			writePair(t, dir, "hook.test")
			c = Certificate{File: dir + "/cert", Key: dir + "/key"}
		}
		st.run(l, c)
		crowd(t, l.Addr().String(), secure)
		st.stop()
		if n := strings.Count(log.String(), "have shown no secret"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
	}
}

// crowd is more than one address may have.
func crowd(t *testing.T, to string, secure bool) {
	t.Helper()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	dial := func(ip string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		c, err := d.DialContext(t.Context(), "tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if secure {
			return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is our own
		}
		return c
	}
	ask := func(c net.Conn) bool {
		body := event(7, 1, "pending", "")
		_, _ = fmt.Fprintf(c, "POST /hook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Event: Job Hook\r\nX-Gitlab-Token: %s\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	known := dial("127.0.0.2")
	if !ask(known) {
		t.Error("the secret does not open")
	}
	var strangers []net.Conn
	for range maxStrangers {
		strangers = append(strangers, dial("127.0.0.2"))
	}
	if ask(dial("127.0.0.2")) {
		t.Errorf("more than %d of one address are open", maxStrangers)
	}
	if !ask(dial("127.0.0.3")) {
		t.Error("another address is kept out")
	}
	if !ask(known) || !ask(strangers[0]) {
		t.Error("who has shown the secret is kept out")
	}
	if !ask(dial("127.0.0.2")) {
		t.Error("there is no room where one is no stranger any more")
	}
}

// TestOrigin: of version 6 one customer has 2^64 addresses.
func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.2.3:80": "10.1.2.3/32", "[::ffff:10.1.2.3]:80": "10.1.2.3/32", "[2001:db8::1]:80": "2001:db8::/64", "[2001:db8:0:0:1::]:1": "2001:db8::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "pipe": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := origin(named(address)).String(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}

// named is an address by its text.
type named string

func (named) Network() string  { return "tcp" }
func (n named) String() string { return string(n) }

// TestTagsAreBounded: more or longer ones than GitLab's are none that are told, and no
// queue keeps any.
func TestTagsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		want bool
	}{
		"two":      {`"a","b"`, true},
		"long":     {`"` + strings.Repeat("x", longestName) + `"`, true},
		"too long": {`"a","` + strings.Repeat("x", longestName+1) + `"`, false},
		"many":     {strings.Repeat(`"x",`, mostTags-1) + `"x"`, true},
		"too many": {strings.Repeat(`"x",`, mostTags) + `"x"`, false},
	} {
		j, err := decode([]byte(event(7, 1, "pending", `,"tag_list":[`+c.list+`]`)))
		if err != nil || (j.Tags != nil) != c.want {
			t.Errorf("%s: %d tags, %v", name, len(j.Tags), err)
		}
	}
	s, _ := bare(t)
	s.groups = append(s.groups, s.newGroup(fleet.JobGroup{Name: "arm", Tags: []string{"a"}}))
	for _, any := range []bool{true, false} {
		s.groups[0].Any = any
		for _, status := range []string{"pending", "success"} {
			ask(s.Handler(), http.MethodPost, event(7, 1, status, `,"tag_list":["a"]`), secret, jobHook)
		}
	}
	for _, g := range s.groups {
		for len(g.inbox) > 0 {
			if e, ok := (<-g.inbox).(life.JobEvent); !ok || e.Job.Tags != nil {
				t.Errorf("in the queue of %s: %+v", g.Name, e)
			}
		}
	}
}
