// Package agent runs one machine of package life for real: it feeds it events,
// carries its actions out through the edges, and writes its decisions to the
// log.
//
// It guarantees that actions are carried out one at a time and in order, each
// within a time-out of its own; that an effect once begun is finished and its
// result handed to the machine even when the process is asked to stop; and that
// a machine which is asked to stop is told so before anything else is done, but for
// what waits in its inbox.
// What to do is left to life, how to do it to the edges.
package agent

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// Edges are the systems that actions reach. A verb needs only those that its
// actions use; the others may be nil.
type Edges struct {
	Metadata    Metadata
	AutoScaling AutoScaling
	GitLab      GitLab
	Runner      Runner
	Units       Units
	Secrets     Secrets
	Files       *Files
}

// Options are how a machine is run.
type Options struct {
	Edges Edges
	// Perform carries out the actions of a machine that is no instance's, such as
	// the reaper's, in place of Edges; nil leaves them to these.
	Perform func(ctx context.Context, a life.Action) (value any, changed bool, err error)
	Log     *slog.Logger
	// Notify tells the service manager READY=1, STATUS=…, WATCHDOG=1 and STOPPING=1;
	// nil tells nobody.
	Notify func(state string)
	// Inbox brings events from outside, such as a job hook's. They are taken in
	// while the machine sleeps; nil brings none.
	Inbox <-chan life.Event
	// Watchdog is how often the service manager wants to hear that the loop goes
	// round, half of its patience; 0 is never.
	Watchdog time.Duration
}

// Outcome is what came of a run.
type Outcome struct {
	Code      life.ExitCode
	Summary   string           // one line for a person
	Report    any              // what a program is told beside it, by the machine's Exit
	Said      bool             // why it ended has been said, by the machine's Exit
	Decisions []fleet.Decision // those of level info and above, the newest hundred
	// Changed tells that something outside of this process was changed: not where
	// a second run found all as it was to be, nor for what only Shoal's own
	// processes take notice of, such as its flags and heartbeats.
	Changed bool
}

// mostDecisions bounds what a daemon keeps for its outcome.
const mostDecisions = 100

// Run drives m from Started to its Exit. Cancelling ctx asks it to stop; Run
// returns when it has.
func Run[S life.Machine[S]](ctx context.Context, m S, o Options) Outcome {
	r := runner{Options: o, ctx: ctx}
	m, actions := m.Step(life.Started{}, time.Now())
	r.notify("READY=1")
	told := false // of the interruption, since the last event
	for {
		r.alive()
		effect := r.speak(actions)
		if exit, ok := effect.(life.Exit); ok {
			r.out.Code, r.out.Summary, r.out.Report, r.out.Said = exit.Code, exit.Summary, exit.Report, exit.Said
			return r.out
		}
		var event life.Event
		if ctx.Err() != nil && !told {
			event, told = r.last()
			r.stopping()
		} else {
			event, told = r.carryOut(effect, told), false
		}
		m, actions = m.Step(event, time.Now())
	}
}

type runner struct {
	Options
	ctx    context.Context
	out    Outcome
	pinged time.Time // WATCHDOG=1 was last sent
	asked  bool      // to stop, and the service manager knows
	late   int       // events that were taken in since
}

// speak logs the decisions and returns the action after them.
func (r *runner) speak(actions []life.Action) life.Action {
	for _, a := range actions {
		say, ok := a.(life.Say)
		if !ok {
			return a
		}
		r.log(say)
	}
	panic("agent: a machine returned nothing to do")
}

func (r *runner) log(s life.Say) {
	attrs := []slog.Attr{slog.String(keyVerb, s.Decision.Verb)}
	if len(s.Decision.Reasons) > 0 {
		attrs = append(attrs, slog.String(keyWhy, joinReasons(s.Decision.Reasons)))
	}
	if s.Err != nil {
		attrs = append(attrs, slog.String(keyError, s.Err.Error()))
	}
	r.Log.LogAttrs(r.ctx, levels[s.Level], s.Decision.Action, attrs...)
	d := s.Decision
	r.notify("STATUS=" + strings.ReplaceAll(d.Action, "\n", " "))
	if s.Level == life.Debug {
		return
	}
	if s.Err != nil {
		d.Reasons = append(d.Reasons[:len(d.Reasons):len(d.Reasons)], fleet.Reason(s.Err.Error()))
	}
	r.out.Decisions = append(r.out.Decisions, d)
	if len(r.out.Decisions) > mostDecisions {
		r.out.Decisions = append([]fleet.Decision(nil), r.out.Decisions[1:]...)
	}
}

func (r *runner) notify(state string) {
	if r.Notify != nil {
		r.Notify(state)
	}
}

// alive tells the service manager that the loop goes round. Only the loop tells
// it: an action that hangs, or a machine that does not return, ends the pings,
// and systemd starts the daemon anew. Not at each turn, which may be many a second.
func (r *runner) alive() {
	if now := time.Now(); r.Watchdog > 0 && now.Sub(r.pinged) >= r.Watchdog/2 {
		r.pinged = now
		r.notify("WATCHDOG=1")
	}
}

// last is what a machine hears that is asked to stop: what waits in the inbox, which
// whoever sent it believes to be taken in, and then the interruption. Nothing is
// carried out in between; more than an inbox holds is not waited for.
func (r *runner) last() (e life.Event, interrupted bool) {
	if r.late < cap(r.Inbox) {
		select {
		case e = <-r.Inbox:
			r.late++
			return e, false
		default:
		}
	}
	return life.Interrupted{}, true
}

// stopping tells the service manager, once, that this process is about to end.
func (r *runner) stopping() {
	if !r.asked {
		r.asked = true
		r.notify("STOPPING=1")
	}
}

func joinReasons(reasons []fleet.Reason) string {
	parts := make([]string, len(reasons))
	for i, w := range reasons {
		parts[i] = string(w)
	}
	return strings.Join(parts, "; ")
}

// The keys of every log line.
const (
	keyVerb  = "verb"  // the machine that speaks
	keyWhy   = "why"   // what it saw, and why it decided so
	keyError = "error" // what failed, and what mends it
)

var levels = map[life.Level]slog.Level{
	life.Debug: slog.LevelDebug, life.Info: slog.LevelInfo, life.Warn: slog.LevelWarn, life.Error: slog.LevelError,
}

// carryOut performs one action and returns the event that answers it. A machine
// that was told to stop and sleeps has a reason to: its sleep is not cut short,
// or it would spin.
func (r *runner) carryOut(a life.Action, told bool) life.Event {
	if sleep, ok := a.(life.Sleep); ok {
		return r.sleep(sleep, told)
	}
	ctx, cancel := r.bound()
	defer cancel()
	got, err := r.perform(ctx, a)
	r.out.Changed = r.out.Changed || got.changed
	return life.Result{Action: a, Value: got.value, Failure: fleet.AsFailure(describe(a), err)}
}

func (r *runner) perform(ctx context.Context, a life.Action) (reply, error) {
	if r.Perform == nil {
		return r.Edges.perform(ctx, a)
	}
	value, changed, err := r.Perform(ctx, a)
	return reply{value: value, changed: changed && err == nil}, err
}

func (r *runner) sleep(s life.Sleep, told bool) life.Event {
	stop := r.ctx.Done()
	if told {
		stop = nil
	}
	for {
		news, slept := r.doze(r.part(s.Until), stop)
		if news != nil {
			return news
		}
		if !slept || !time.Now().Before(s.Until) {
			return life.Woke{} // an interruption is told next, whatever this one leads to
		}
		r.alive()
	}
}

// part is how far a sleep until then may go at once: to the next ping of the
// watchdog, of which the machine is told nothing.
func (r *runner) part(until time.Time) time.Time {
	if next := r.pinged.Add(r.Watchdog); r.Watchdog > 0 && next.Before(until) {
		return next
	}
	return until
}

// doze waits until then, or for news, or until stop: slept is false then.
func (r *runner) doze(until time.Time, stop <-chan struct{}) (news life.Event, slept bool) {
	select {
	case news = <-r.Inbox: // without a timer for each of thousands
		return news, false
	default:
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return nil, true
	case news = <-r.Inbox:
		return news, false
	case <-stop:
		return nil, false
	}
}

// actionTimeout bounds every action. The shortest hook times out after 30 s and
// is heartbeaten every 10: one action that hangs must leave time for the next
// heartbeat before that.
const actionTimeout = 15 * time.Second

// bound gives an action its own time. It is not cut short by a request to stop:
// an effect whose result nobody took in would have to be found out again.
func (r *runner) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.ctx), actionTimeout)
}
