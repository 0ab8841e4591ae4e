package demand

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// bare is a service without an outside: requests to it lead nowhere.
func bare(t testing.TB) (*Service, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	s, err := New(Options{
		Groups: []fleet.JobGroup{{Name: "ci", Slots: 6, Any: true}}, Store: &memory{kept: map[string]life.Backlog{}},
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.SetSecrets([]fleet.Token{fleet.NewToken(secret), fleet.NewToken("another-0123456789")})
	return s, log
}

// TestOnlyTheSecretOpens: nothing is taken in without it, and neither the answer nor
// the log tells anything of it.
func TestOnlyTheSecretOpens(t *testing.T) {
	s, log := bare(t)
	h := s.Handler()
	for name, c := range map[string]struct {
		tokens []string
		want   int
	}{
		"right":                 {[]string{secret}, 200},
		"the other":             {[]string{"another-0123456789"}, 200},
		"missing":               {nil, 401},
		"empty":                 {[]string{""}, 401},
		"wrong":                 {[]string{"s3cr3t-0123456789abcdeX"}, 401},
		"truncated":             {[]string{secret[:len(secret)-1]}, 401},
		"its first letter":      {[]string{secret[:1]}, 401},
		"and more":              {[]string{secret + "0"}, 401},
		"with a space":          {[]string{" " + secret}, 401},
		"doubled":               {[]string{secret + secret}, 401},
		"twice":                 {[]string{secret, secret}, 401},
		"right and wrong":       {[]string{secret, "x"}, 401},
		"wrong and right":       {[]string{"x", secret}, 401},
		"both, with a comma":    {[]string{secret + ",another-0123456789"}, 401},
		"in other letters":      {[]string{strings.ToUpper(secret)}, 401},
		"of sixteen kilobytes":  {[]string{strings.Repeat("a", 16000)}, 401},
		"with a byte of zero":   {[]string{secret + "\x00"}, 401},
		"as Authorization does": {[]string{"Bearer " + secret}, 401},
	} {
		before := len(s.groups[0].inbox)
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(event(7, 1, "pending", "")))
		r.Header["X-Gitlab-Token"] = c.tokens
		r.Header.Set("X-Gitlab-Event", "Job Hook")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || c.want == 401 && w.Body.String() != "unauthorized\n" {
			t.Errorf("%s: answered %d %q", name, w.Code, w.Body)
		}
		if taken := len(s.groups[0].inbox) - before; taken != map[int]int{200: 1, 401: 0}[c.want] {
			t.Errorf("%s: %d events taken in", name, taken)
		}
	}
	for _, part := range []string{secret, secret[:8], "another-", "s3cr"} {
		if strings.Contains(strings.ToLower(log.String()), part) {
			t.Errorf("the log has %q:\n%s", part, log)
		}
	}
	if n := strings.Count(log.String(), "without the secret"); n != 1 {
		t.Errorf("strangers fill the log with %d lines", n)
	}
	s.SetSecrets(nil)
	if w := ask(h, "POST", "", secret, ""); w.Code != 401 {
		t.Errorf("without any secret: %d", w.Code)
	}
	s.SetSecrets([]fleet.Token{{}})
	if w := ask(h, "POST", "", "", ""); w.Code != 401 {
		t.Errorf("an empty secret opens: %d", w.Code)
	}
}

func ask(h http.Handler, method, body, token, kind string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.Header.Set("X-Gitlab-Token", token)
	r.Header.Set("X-Gitlab-Event", kind)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestBodies: what is no job event is refused, or ignored where GitLab means well,
// and none of it comes back in the answer.
func TestBodies(t *testing.T) {
	s, log := bare(t)
	h := s.Handler()
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for name, c := range map[string]struct {
		method, body, kind string
		want               int
		taken              int
	}{
		"a job":                      {"POST", event(7, 1, "pending", ""), jobHook, 200, 1},
		"with what is new":           {"POST", event(7, 1, "pending", `,"new":{"list":[1,{}]},"tag_list":{"a":1},"build_stage":7`), jobHook, 200, 1},
		"a status that is new":       {"POST", event(7, 1, "quantum", ""), jobHook, 200, 0},
		"another event":              {"POST", `{"object_kind":"push"}`, "Push Hook", 204, 0},
		"another kind in it":         {"POST", `{"object_kind":"pipeline"}`, jobHook, 200, 0},
		"a GET":                      {"GET", "", jobHook, 405, 0},
		"a PUT":                      {"PUT", event(7, 1, "pending", ""), jobHook, 405, 0},
		"nothing":                    {"POST", "", jobHook, 400, 0},
		"no JSON":                    {"POST", "<html>PASSWORD</html>", jobHook, 400, 0},
		"half of it":                 {"POST", event(7, 1, "pending", "")[:80], jobHook, 400, 0},
		"two of them":                {"POST", event(7, 1, "pending", "") + event(8, 1, "pending", ""), jobHook, 400, 0},
		"a list":                     {"POST", "[]", jobHook, 400, 0},
		"no id":                      {"POST", `{"object_kind":"build","project_id":1,"build_status":"pending"}`, jobHook, 400, 0},
		"a negative id":              {"POST", event(-7, 1, "pending", ""), jobHook, 400, 0},
		"an id in quotes":            {"POST", `{"object_kind":"build","build_id":"7","project_id":1}`, jobHook, 400, 0},
		"an id beyond all numbers":   {"POST", `{"object_kind":"build","build_id":99999999999999999999,"project_id":1}`, jobHook, 400, 0},
		"deeply nested":              {"POST", deep, jobHook, 400, 0},
		"deeply nested lists":        {"POST", `{"a":` + strings.Repeat("[", 100000) + "}", jobHook, 400, 0},
		"brackets in a text":         {"POST", event(7, 1, "pending", `,"x":"\"`+strings.Repeat("[{", 500)+`"`), jobHook, 200, 1},
		"longer than a mebibyte":     {"POST", event(7, 1, "pending", `,"x":"`+strings.Repeat("a", 1<<20)+`"`), jobHook, 413, 0},
		"as long as it may be":       {"POST", event(7, 1, "pending", `,"x":"`+strings.Repeat("a", 1<<20-300)+`"`), jobHook, 200, 1},
		"a name of ten thousand":     {"POST", strings.Replace(event(7, 1, "pending", ""), `"job 7"`, `"`+strings.Repeat("é", 5000)+`"`, 1), jobHook, 200, 1},
		"what is not UTF-8":          {"POST", strings.Replace(event(7, 1, "pending", ""), "job 7", "\xff\xfe", 1), jobHook, 200, 1},
		"a name that is twice there": {"POST", event(7, 1, "pending", `,"build_id":9`), jobHook, 200, 1},
	} {
		before := len(s.groups[0].inbox)
		w := ask(h, c.method, c.body, secret, c.kind)
		if w.Code != c.want {
			t.Errorf("%s: answered %d %q, want %d", name, w.Code, w.Body, c.want)
		}
		if taken := len(s.groups[0].inbox) - before; taken != c.taken {
			t.Errorf("%s: %d events taken in, want %d", name, taken, c.taken)
		}
		if strings.Contains(w.Body.String()+log.String(), "PASSWORD") {
			t.Errorf("%s: what was sent comes back: %q\n%s", name, w.Body, log)
		}
	}
	for len(s.groups[0].inbox) > 0 {
		if e := (<-s.groups[0].inbox).(life.JobEvent); len(e.Job.Name) > longestName {
			t.Errorf("a name of %d bytes is kept", len(e.Job.Name))
		}
	}
}

// TestTimingTellsNothing: how long a comparison takes does not depend on how much of
// the secret was guessed, nor on which secret matches. Medians of interleaved samples,
// for a machine that does something else meanwhile.
func TestTimingTellsNothing(t *testing.T) {
	long := strings.Repeat("k", 64)
	var k keyring
	k.shuffle()
	k.set([]fleet.Token{fleet.NewToken(long), fleet.NewToken(strings.Repeat("z", 64))})
	guesses := map[string]string{
		"nothing right":   strings.Repeat("x", 64),
		"all but the end": long[:63] + "x",
		"the first":       long,
		"the second":      strings.Repeat("z", 64),
	}
	samples := map[string][]float64{}
	const each, rounds = 200, 400
	for range rounds {
		for name, guess := range guesses { // in a new order each time
			began := time.Now()
			for range each {
				k.holds(guess)
			}
			samples[name] = append(samples[name], time.Since(began).Seconds()/each*1e9)
		}
	}
	medians := map[string]float64{}
	for name, list := range samples {
		slices.Sort(list)
		medians[name] = list[len(list)/2]
	}
	base := medians["nothing right"]
	for name, m := range medians {
		// What a comparison byte by byte would show of 64 bytes is a tenth of a hash
		// and more; noise of the median is some hundredths.
		if m < 0.8*base || m > 1.25*base {
			t.Errorf("%s: %.0f ns, nothing right: %.0f ns", name, m, base)
		}
	}
	t.Logf("ns: %v", medians)
}

// TestSlowBodies: who sends a byte at a time is cut off, and holds up nobody else.
func TestSlowBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t)
		l := &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
		st := &site{t: t, service: s}
		s.AWS = nobody{}
		st.run(l, Certificate{})
		slow := l.dial()
		began := time.Now()
		fmt.Fprintf(slow, "POST /hook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: %s\r\nX-Gitlab-Event: Job Hook\r\nContent-Length: 1000\r\n\r\n", secret)
		var writing sync.WaitGroup
		writing.Go(func() {
			for range 1000 {
				if _, err := slow.Write([]byte("{")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		head := l.dial()
		writing.Go(func() { _, _ = head.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nX-A: ")) }) // and no more
		fast := l.dial()
		fmt.Fprintf(fast, "POST /hook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nContent-Length: 0\r\n\r\n")
		if answer, err := http.ReadResponse(bufio.NewReader(fast), nil); err != nil || answer.StatusCode != http.StatusUnauthorized || time.Since(began) > time.Second {
			t.Errorf("%v, %v after %s", answer, err, time.Since(began))
		}
		answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
		if err != nil || answer.StatusCode != http.StatusRequestTimeout || time.Since(began) > 11*time.Second {
			t.Errorf("a slow body: %v, %v after %s", answer, err, time.Since(began))
		}
		_, err = io.ReadAll(head)
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("a slow header: %v after %s", err, took)
		}
		for _, c := range []net.Conn{slow, fast, head} {
			_ = c.Close()
		}
		writing.Wait()
		st.stop()
	})
}

// nobody is an AWS that is never asked.
type nobody struct{}

func (nobody) Group(context.Context, string) (fleet.Group, error) { return fleet.Group{}, io.EOF }
func (nobody) SetDesired(context.Context, string, int) error      { return io.EOF }

// pipes is a listener in memory.
type pipes struct {
	accept chan net.Conn
	done   chan struct{}
}

func (p *pipes) dial() net.Conn {
	a, b := net.Pipe()
	p.accept <- b
	return a
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestHealth: alive always, ready while it serves.
func TestHealth(t *testing.T) {
	s := newSite(t, scene{})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200} {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	s.end()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
	if w.Code != 503 {
		t.Errorf("ready once stopped: %d", w.Code)
	}
}

// TestCertificateIsReadAnew, and half of a change is not taken.
func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	c := &certificate{Certificate: Certificate{File: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}, log: slog.New(slog.DiscardHandler)}
	if err := c.load(); err == nil || !strings.Contains(err.Error(), "webhook.tls_cert") {
		t.Errorf("without files: %v", err)
	}
	writePair(t, dir, "one")
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	name := func() string {
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	look := func() { c.looked = time.Time{} }
	if err := os.WriteFile(filepath.Join(dir, "cert"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if look(); name() != "one" {
		t.Errorf("the certificate is %s", name())
	}
	writePair(t, dir, "two")
	if look(); name() != "two" {
		t.Errorf("the certificate is %s", name())
	}
}

// TestTLS serves by the files.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "hook.test")
	s, _ := bare(t)
	s.AWS = nobody{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	st := &site{t: t, service: s}
	st.run(l, Certificate{File: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")})
	defer st.stop()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + l.Addr().String() + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK || resp.TLS.PeerCertificates[0].Subject.CommonName != "hook.test" {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" { // HTTP/2 is kept open before any request
		t.Errorf("it speaks %q", p)
	}
}

func writePair(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzDecode: whatever is sent, it neither panics nor lets through what no machine
// must see.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(event(7, 1, "pending", `,"tag_list":["a","b"]`)))
	f.Add([]byte(event(7, 1, "success", `,"runner":{"id":1,"tags":[]}`)))
	f.Add([]byte(`{"object_kind":"build","build_id":1e3,"project_id":1,"build_name":null,"tag_list":[1]}`))
	f.Add([]byte(`{"object_kind":"build","pipeline_id":1e300,"build_id":1,"project_id":1,"build_status":"running"}`))
	f.Add([]byte(strings.Repeat("[", 40)))
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := decode(body)
		if err != nil {
			if !errors.Is(err, errDeep) && !errors.Is(err, errJSON) && !errors.Is(err, errNoJob) {
				t.Errorf("an error of its own: %v", err)
			}
			return
		}
		if j.State != fleet.JobUnknown && (j.ID <= 0 || j.Project <= 0) || len(j.Name) > longestName || len(j.Stage) > longestName {
			t.Errorf("let through: %+v", j)
		}
	})
}

// TestNotReadyWithoutASecret: whoever watches learns that every event is refused, and
// that there is a secret again.
func TestNotReadyWithoutASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, scene{})
		defer s.end()
		for _, c := range []struct {
			secrets []fleet.Token
			want    int
		}{{[]fleet.Token{fleet.NewToken(secret)}, 200}, {nil, 503}, {[]fleet.Token{{}}, 503}, {[]fleet.Token{fleet.NewToken(secret)}, 200}} {
			s.service.SetSecrets(c.secrets)
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
			if w.Code != c.want {
				t.Errorf("%d secrets: %d %s", len(c.secrets), w.Code, w.Body)
			}
		}
	})
}

// TestWhatIsWrongWithAnEvent is told as it is: somebody looks for it in what was sent.
func TestWhatIsWrongWithAnEvent(t *testing.T) {
	for body, want := range map[string]error{
		"":                        errJSON,
		`{"object_kind":"build"`:  errJSON,
		`{"object_kind":"build"}`: errNoJob,
		`{"object_kind":"build","build_id":"7","project_id":1}`: errNoJob,
		`[]`: errNoJob,
	} {
		if _, err := decode([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", body, err, want)
		}
	}
}
