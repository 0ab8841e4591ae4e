package demand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/autoscaling"
	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret   = "s3cr3t-0123456789abcdef"
	apiToken = "glpat-read"
)

// site is a webhook over the real edges, and emulated services in virtual time.
type site struct {
	*emulator.Cloud
	t       testing.TB
	service *Service
	handler http.Handler
	stop    func() // once; waits for the end
	log     *logBuffer
	store   *memory

	mu   sync.Mutex
	sets []set // SetDesiredCapacity calls that came through, by whomever
}

type set struct {
	at time.Time
	to int
}

// logBuffer may be written while it is read.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// memory is a Store.
type memory struct {
	mu   sync.Mutex
	kept map[string]life.Backlog
}

func (m *memory) Load(_ context.Context, group string) (*life.Backlog, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.kept[group]; ok {
		return &b, nil
	}
	return nil, nil
}

func (m *memory) Save(_ context.Context, group string, b life.Backlog) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[group] = b
	return nil
}

// still is a listener that nobody connects to.
type still struct {
	once sync.Once
	done chan struct{}
}

func (s *still) Accept() (net.Conn, error) { <-s.done; return nil, net.ErrClosed }
func (s *still) Close() error              { s.once.Do(func() { close(s.done) }); return nil }
func (s *still) Addr() net.Addr            { return &net.TCPAddr{} }

// scene is what a site begins with.
type scene struct {
	groups   []string // as webhook.groups has them; default "ci x6"
	untagged string
	world    world.Options
	specs    []world.GroupSpec
	runners  []world.NewRunner
	noToken  bool
	fault    func(emulator.Request) emulator.Fault
	store    *memory
}

func newSite(t testing.TB, c scene) *site {
	t.Helper()
	if c.groups == nil {
		c.groups = []string{"ci x6"}
	}
	if c.specs == nil {
		c.specs = []world.GroupSpec{{Name: "ci", Max: 100}}
	}
	cloud, err := emulator.Start(emulator.Options{
		NoListen: true, World: c.world, Groups: c.specs, Fault: c.fault, Runners: c.runners,
		AccessTokens: []world.AccessToken{{Token: apiToken, Scopes: []string{world.ScopeReadAPI}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Cloud: cloud, t: t, log: &logBuffer{}, store: c.store}
	if s.store == nil {
		s.store = &memory{kept: map[string]life.Backlog{}}
	}
	s.begin(c)
	return s
}

// begin starts the webhook's process.
func (s *site) begin(c scene) {
	load := func(context.Context) (aws.Config, error) {
		return aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://aws.test"), HTTPClient: &http.Client{Transport: direct.To{Handler: s.watched(s.AutoScalingHandler())}},
			Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		}, nil
	}
	cloud, err1 := autoscaling.New(autoscaling.Options{Load: load})
	lab, err2 := gitlab.New(gitlab.Options{URL: "http://gitlab.test", Transport: direct.To{Handler: s.GitLabHandler()}})
	o := Options{AWS: cloud, Store: s.store, Untagged: c.untagged, Log: slog.New(slog.NewTextHandler(s.log, nil))}
	if !c.noToken {
		o.GitLab, o.Token = lab, func(context.Context) (fleet.Token, error) { return fleet.NewToken(apiToken), nil }
	}
	for _, text := range c.groups {
		g, err := fleet.ParseJobGroup(text)
		if err != nil {
			s.t.Fatal(err)
		}
		o.Groups = append(o.Groups, g)
	}
	service, err3 := New(o)
	if err := errors.Join(err1, err2, err3); err != nil {
		s.t.Fatal(err)
	}
	service.SetSecrets([]fleet.Token{fleet.NewToken(secret)})
	s.service, s.handler = service, service.Handler()
	s.run(&still{done: make(chan struct{})}, Certificate{})
}

// run serves until stop.
func (s *site) run(l net.Listener, c Certificate) {
	ctx, cancel := context.WithCancel(context.Background())
	ended, up := make(chan error, 1), make(chan struct{})
	go func() { ended <- s.service.Serve(ctx, l, c, s.drive, func() { close(up) }) }()
	<-up
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *site) drive(ctx context.Context, g *Group) {
	agent.Run(ctx, g.Machine, agent.Options{Perform: g.Perform, Inbox: g.Inbox, Log: s.service.Log})
}

// end stops all.
func (s *site) end() {
	s.stop()
	s.Close()
}

// watched notes the raises that came through.
func (s *site) watched(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		r.Body = http.NoBody
		form := b.String()
		q := r.Clone(r.Context())
		q.Body = nopCloser{strings.NewReader(form)}
		h.ServeHTTP(w, q)
		if strings.Contains(form, "Action=SetDesiredCapacity") {
			to := 0
			_, _ = fmt.Sscanf(form[strings.Index(form, "DesiredCapacity=")+len("DesiredCapacity="):], "%d", &to)
			s.mu.Lock()
			s.sets = append(s.sets, set{time.Now(), to})
			s.mu.Unlock()
		}
	})
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

// raises are the calls so far.
func (s *site) raises() []set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]set{}, s.sets...)
}

// event is a job event's body.
func event(id, project int64, status, more string) string {
	return fmt.Sprintf(`{"object_kind":"build","build_id":%d,"build_name":"job %d","build_stage":"test","build_status":%q,"pipeline_id":1,"project_id":%d,"runner":null%s}`, id, id%10, status, project, more)
}

// post sends a body as GitLab does, and returns the answer.
func (s *site) post(body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	r.Header.Set("X-Gitlab-Event", "Job Hook")
	r.Header.Set("X-Gitlab-Token", secret)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *site) hear(body string) {
	s.t.Helper()
	if w := s.post(body); w.Code != http.StatusOK {
		s.t.Fatalf("answered %d %s", w.Code, w.Body)
	}
}

// desired is the group's.
func (s *site) desired(group string) (n int) {
	for _, g := range s.Records().Groups {
		if g.Name == group {
			n = g.Desired
		}
	}
	return n
}
