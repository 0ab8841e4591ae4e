package demand

import (
	"bufio"
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
		l, taken := bounded(inner), make(chan net.Conn, maxConnections+1)
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
