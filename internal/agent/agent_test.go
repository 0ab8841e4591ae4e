package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

var initSettings = life.InitSettings{Mode: fleet.ModeCreate, URL: "https://gitlab.example", Token: "env:T", Timeout: time.Minute, Patience: time.Minute}

// options run a machine on o and keep its log.
func options(t testing.TB, o *outside) (Options, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return Options{Edges: o.edges(t), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, log
}

func TestRunInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		opts, log := options(t, o)
		var told []string
		opts.Notify = func(state string) { told = append(told, state) }
		out := Run(t.Context(), life.NewInit(initSettings), opts)
		if out.Code != life.Done || !out.Changed || out.Summary == "" || len(out.Decisions) == 0 {
			t.Errorf("outcome %+v\n%s", out, log)
		}
		if o.made("Create") != 1 || o.made("Complete CONTINUE") != 1 || !o.units[life.UnitRunner] {
			t.Errorf("calls %v", o.calls)
		}
		if told[0] != "READY=1" || !strings.HasPrefix(told[len(told)-1], "STATUS=") {
			t.Errorf("told the service manager %q", told)
		}
		if s := log.String() + fmt.Sprintf("%+v", out); strings.Contains(s, "glrt-") || strings.Contains(s, "glpat-") {
			t.Errorf("a token in the log or the outcome:\n%s", s)
		}
	})
}

// TestRunAgainChangesNothing: the second run finds all as the first one left it.
func TestRunAgainChangesNothing(t *testing.T) {
	for _, mode := range []fleet.Mode{fleet.ModeToken, fleet.ModeCreate, fleet.ModeLegacy} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutside()
				o.do = func(_ context.Context, method string) error {
					if method == "Complete CONTINUE" && o.made(method) > 1 {
						return &fleet.Failure{Kind: fleet.NotWaiting}
					}
					return nil
				}
				opts, log := options(t, o)
				settings := initSettings
				settings.Mode = mode
				for _, want := range []bool{true, false} {
					if out := Run(t.Context(), life.NewInit(settings), opts); out.Code != life.Done || out.Changed != want {
						t.Fatalf("outcome %+v, want changed %v\n%s", out, want, log)
					}
					time.Sleep(time.Hour) // of the bubble's own clock
				}
				o.units[life.UnitRunner] = false
				if out := Run(t.Context(), life.NewInit(settings), opts); out.Code != life.Done || !out.Changed {
					t.Errorf("the runner was down: outcome %+v", out)
				}
			})
		})
	}
}

// TestRunFinishesWhatIsUnderWay: asked to stop while GitLab makes a runner, the
// request is finished, its token written, and only then the exit.
func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		opts, log := options(t, o)
		ctx, stop := context.WithCancel(t.Context())
		o.do = func(ctx context.Context, method string) error {
			if method == "Create" {
				time.Sleep(2 * time.Second)
				stop()
				time.Sleep(3 * time.Second)
				if ctx.Err() != nil {
					t.Error("the request under way was cut short")
				}
			}
			return nil
		}
		out := Run(ctx, life.NewInit(initSettings), opts)
		reg, err := opts.Edges.Files.Registration()
		if out.Code != life.TryAgain || err != nil || reg == nil || len(reg.Runners) != 1 || reg.Runners[0].Token.Reveal() != runnersToken {
			t.Errorf("outcome %+v, registration %+v, %v\n%s", out, reg, err, log)
		}
		if o.made("Configure") != 0 {
			t.Error("went on after the interruption")
		}
	})
}

// TestRunStopsAtOnce in the middle of a sleep.
func TestRunStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		opts, _ := options(t, o)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(42*time.Second, stop)
		begin := time.Now()
		out := Run(ctx, life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: time.Hour}), opts)
		if out.Code != life.Done || time.Since(begin) != 42*time.Second || out.Changed {
			t.Errorf("outcome %+v after %s", out, time.Since(begin))
		}
	})
}

// TestRunDoesNotSpin: a machine that must not stop yet sleeps between its tries
// though it was asked to stop.
func TestRunDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		opts, log := options(t, o)
		opts.Edges.Runner = nil
		o.state = fleet.Terminated
		missing := filepath.Join(opts.Edges.Files.RunDir, "not there yet")
		opts.Edges.Files.RunDir = missing
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		time.AfterFunc(30*time.Second, func() {
			if err := os.Mkdir(missing, 0o700); err != nil {
				t.Error(err)
			}
		})
		out := Run(ctx, life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second}), opts)
		if tries := strings.Count(log.String(), "cannot write the notice"); tries < 5 || tries > 40 {
			t.Errorf("tried %d times in half a minute", tries)
		}
		if f, err := opts.Edges.Files.Flags(); out.Code != life.Done || err != nil || f.Notice == nil {
			t.Errorf("outcome %+v, flags %+v, %v", out, f, err)
		}
	})
}

// TestRunBoundsEachAction: an edge that hangs ends with its time-out.
func TestRunBoundsEachAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		opts, _ := options(t, o)
		hung := 0
		o.do = func(ctx context.Context, method string) error {
			if method == "SpotAction" && hung < 2 {
				hung++
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		Run(ctx, life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second}), opts)
		if hung != 2 || o.made("SpotAction") < 4 {
			t.Errorf("hung %d times, looked %d times in a minute", hung, o.made("SpotAction"))
		}
	})
}

// talker says something at each step, for ever.
type talker struct{ n int }

func (m talker) Step(e life.Event, now time.Time) (talker, []life.Action) {
	m.n++
	say := life.Say{Level: life.Info, Decision: fleet.Decision{Verb: "talk", Action: fmt.Sprint("line ", m.n), Reasons: []fleet.Reason{"a", "b"}}}
	if m.n%2 == 0 {
		say.Level, say.Err = life.Debug, &fleet.Failure{Op: "talk", Err: errors.New("hoarse")}
	}
	if e == life.Event(life.Interrupted{}) {
		return m, []life.Action{say, life.Exit{Code: life.Failed, Summary: "enough"}}
	}
	return m, []life.Action{say, life.Sleep{Until: now.Add(time.Second)}}
}

// TestOutcomeIsBounded: a daemon that runs for weeks keeps the newest.
func TestOutcomeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts, log := options(t, newOutside())
		ctx, stop := context.WithTimeout(t.Context(), 1000*time.Second)
		defer stop()
		out := Run(ctx, talker{}, opts)
		if len(out.Decisions) != mostDecisions || out.Code != life.Failed || out.Summary != "enough" || out.Decisions[0].Action == "line 1" {
			t.Errorf("%d decisions, %+v", len(out.Decisions), out)
		}
		if slices.ContainsFunc(out.Decisions, func(d fleet.Decision) bool { return strings.HasSuffix(d.Action, "2") }) {
			t.Error("debug lines among the decisions")
		}
		if line, _, _ := strings.Cut(log.String(), "\n"); !strings.Contains(line, `msg="line 1" verb=talk why="a; b"`) {
			t.Errorf("first line: %s", line)
		}
		if !strings.Contains(log.String(), `level=DEBUG msg="line 2" verb=talk why="a; b" error="talk: hoarse"`) {
			t.Error("no failure in the log")
		}
	})
}

// silent does nothing at all: a defect that must not look like an end.
type silent struct{}

func (m silent) Step(life.Event, time.Time) (silent, []life.Action) { return m, nil }

func TestRunPanicsOnAMachineWithNothingToDo(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	opts, _ := options(t, newOutside())
	Run(t.Context(), silent{}, opts)
}

// TestRunMonitorAndUnregister run for real what the machines are tested with on
// a model: an hour of nothing, then a notice.
func TestRunMonitorAndUnregister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		o.group.Min = 1
		o.units[life.UnitLifecycleCheck] = true // else monitor looks at the group in its place
		opts, log := options(t, o)
		if out := Run(t.Context(), life.NewInit(initSettings), opts); out.Code != life.Done {
			t.Fatalf("init: %+v", out)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		monitor := life.NewMonitor(life.MonitorSettings{Mode: fleet.ModeCreate, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 3 * time.Minute, UnprotectAfter: time.Minute, HoldTimeout: time.Minute, UnhealthyAfter: 2 * time.Hour})
		if out := Run(ctx, monitor, opts); out.Code != life.Done || o.made("Group") != 1 {
			t.Errorf("monitor: %+v, %d looks at the group\n%s", out, o.made("Group"), log)
		}
		if _, err := opts.Edges.Files.WriteNotice(fleet.Notice{Kind: fleet.NoticeScaleIn, SeenAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		out := Run(t.Context(), life.NewUnregister(life.UnregisterSettings{Margin: 15 * time.Second, HoldTimeout: time.Minute, KillAfter: 3 * time.Second, GitLabTimeout: time.Minute}), opts)
		reg, err := opts.Edges.Files.Registration()
		if out.Code != life.Done || o.made("Delete") != 1 || o.made("Complete CONTINUE") != 2 || reg != nil || err != nil {
			t.Errorf("unregister: %+v, %v, registration %v %v", out, o.calls[len(o.calls)-10:], reg, err)
		}
		if s := log.String(); strings.Contains(s, "glrt-") || strings.Contains(s, "glpat-") {
			t.Error("a token in the log")
		}
	})
}
