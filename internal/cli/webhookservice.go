package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/demand"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/systemd"
)

// service is shoal webhook under way: the server, one machine for each group, and
// perhaps the reaper's.
type service struct {
	*call
	*config.Loaded
	flags webhookFlags
	reap  life.ReapSettings // no group: it does not run

	mu  sync.Mutex
	out agent.Outcome // of all machines
}

func (s *service) run(ctx context.Context) (agent.Outcome, error) {
	log := newLogger(s.Stderr, s.Log.Level, s.Log.Format)
	for _, warning := range s.Warnings() {
		log.Warn("configuration: "+warning, "verb", "webhook")
	}
	w, err := newWiring(s.Loaded, log)
	if err != nil { // a variable of AWS' that cannot be: nothing was asked yet
		return s.out, &commandError{code: life.BadUsage, err: err}
	}
	defer w.close()
	hook, err := demand.New(s.webhookOptions(w))
	if err != nil {
		return s.out, &commandError{code: life.BadUsage, err: err}
	}
	if err := checkCertificate(s.certificate()); err != nil {
		return s.out, err
	}
	secrets := newHookSecrets(s.Webhook.Secrets, w.reap.Secrets, hook.SetSecrets, log)
	switch err := secrets.begin(ctx); {
	case ctx.Err() != nil: // a stop, which says nothing of the secrets
		return s.stopped(ctx, log), nil
	case err != nil:
		return s.out, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.flags.listen)
	if err != nil {
		return s.out, listenFailed(err)
	}
	log.Info(fmt.Sprintf("serving GitLab's job events on %s", l.Addr()), "verb", "webhook", "why", s.serves())
	if err := s.serve(ctx, w, hook, l, secrets); err != nil {
		return s.out, err
	}
	return s.stopped(ctx, log), nil
}

func (s *service) stopped(ctx context.Context, log *slog.Logger) agent.Outcome {
	s.out.Summary = "stopped"
	log.Log(ctx, levelOf(s.out, isTerminal(s.Stderr)), s.out.Summary, "verb", "webhook", "exit", int(s.out.Code))
	return s.out
}

// serves says for whom, in one line.
func (s *service) serves() string {
	var parts []string
	for _, g := range s.JobGroups() {
		what := "every job"
		if !g.Any {
			what = "tags " + strings.Join(g.Tags, ", ")
		}
		parts = append(parts, fmt.Sprintf("group %q: %s", g.Name, what))
	}
	if s.Webhook.Token.IsZero() {
		parts = append(parts, "without webhook.token GitLab is not asked for what events do not tell")
	}
	return strings.Join(parts, "; ")
}

// serve runs everything until ctx ends, the server last.
func (s *service) serve(ctx context.Context, w *wiring, hook *demand.Service, l net.Listener, secrets *hookSecrets) error {
	machines := len(s.JobGroups())
	beside, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { renew(beside, secrets) })
	if len(s.reap.Groups) > 0 {
		machines++
	}
	p := newPulse(w.notify, machines)
	if len(s.reap.Groups) > 0 {
		running.Go(func() {
			s.add(agent.Run(beside, life.NewReap(s.reap), agent.Options{Perform: w.reap.Perform, Log: w.log, Notify: p.member(), Watchdog: systemd.WatchdogInterval()}))
		})
	}
	drive := func(ctx context.Context, g *demand.Group) {
		s.add(agent.Run(ctx, g.Machine, agent.Options{Perform: g.Perform, Inbox: g.Inbox, Log: w.log, Notify: p.member(), Watchdog: systemd.WatchdogInterval()}))
	}
	stopping := context.AfterFunc(ctx, func() { w.notify(systemd.Stopping) })
	defer stopping()
	return hook.Serve(ctx, l, s.certificate(), drive, func() { w.notify(systemd.Ready) })
}

// add gathers what came of the machines.
func (s *service) add(o agent.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Changed = s.out.Changed || o.Changed
	s.out.Decisions = append(s.out.Decisions, o.Decisions...)
}

// renew reads the secrets anew until ctx ends; a SIGHUP has it do so at once.
func renew(ctx context.Context, secrets *hookSecrets) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	defer signal.Ignore(syscall.SIGHUP) // as it was
	secrets.watch(ctx, told)
}

// pulse tells the service manager that the loops of all machines go round: one that
// hangs ends the pings, and the service is started anew.
type pulse struct {
	notify func(string)
	mu     sync.Mutex
	want   int
	beats  map[int]bool
	next   int
}

func newPulse(notify func(string), machines int) *pulse {
	return &pulse{notify: notify, want: machines, beats: map[int]bool{}}
}

// member is how one machine tells.
func (p *pulse) member() func(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.next
	p.next++
	return func(state string) {
		switch state {
		case systemd.Ready, systemd.Stopping: // that is the server's to say
		case systemd.Watchdog:
			p.beat(id)
		default:
			p.notify(state)
		}
	}
}

func (p *pulse) beat(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats[id] = true
	if len(p.beats) == p.want {
		p.beats = map[int]bool{}
		p.notify(systemd.Watchdog)
	}
}

// tokenAgain is how soon a token is read again that could not be.
const tokenAgain = 30 * time.Second

// cachedToken resolves a reference now and then: with each request it would cost
// another one. One that cannot be read for a while stays: that AWS does not answer is no
// reason to leave GitLab unasked.
type cachedToken struct {
	secrets reap.Secrets
	ref     string

	mu    sync.Mutex
	token fleet.Token
	until time.Time
}

func (c *cachedToken) get(ctx context.Context) (fleet.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.token, nil
	}
	t, err := c.secrets.Resolve(ctx, c.ref)
	switch {
	case err == nil:
		c.token, c.until = t, time.Now().Add(secretsEvery)
	case !c.token.IsZero() && !fleet.AsFailure("read webhook.token", err).Final():
		c.until = time.Now().Add(tokenAgain)
		return c.token, nil
	default:
		c.token = fleet.Token{} // it was taken away
	}
	return t, err
}
