package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// patience is the units' WatchdogSec=: longer without a ping, and systemd kills.
const patience = time.Minute

// told is what the service manager heard, and when.
type told struct {
	begin  time.Time
	states []string
	pings  []time.Duration
}

func (h *told) notify(state string) {
	if state == "WATCHDOG=1" {
		h.pings = append(h.pings, time.Since(h.begin))
	}
	h.states = append(h.states, state)
}

// longest is the longest time without a ping until end.
func (h *told) longest(end time.Duration) time.Duration {
	most, last := time.Duration(0), time.Duration(0)
	for _, at := range append(slices.Clone(h.pings), end) {
		most, last = max(most, at-last), at
	}
	return most
}

// watched runs a lifecycle check of that period for d.
func watched(t *testing.T, o *outside, period, d time.Duration) *told {
	opts, _ := options(t, o)
	h := &told{begin: time.Now()}
	opts.Notify, opts.Watchdog = h.notify, patience/2
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	Run(ctx, life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: period}), opts)
	return h
}

// TestWatchdogHearsADaemonAtWork: through long sleeps, short ones, and actions
// that take as long as they may.
func TestWatchdogHearsADaemonAtWork(t *testing.T) {
	for _, c := range []struct {
		name         string
		period, slow time.Duration
	}{
		{"sleeps for hours", 3 * time.Hour, 0},
		{"a little longer than the interval", patience/2 + time.Second, 0},
		{"turns often", time.Second, 0},
		{"every action times out", 5 * time.Second, time.Hour},
		{"each just in time", 14900 * time.Millisecond, 14900 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutside()
				o.do = func(ctx context.Context, _ string) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(c.slow):
						return nil
					}
				}
				const d = 10 * time.Hour
				h := watched(t, o, c.period, d)
				if most := h.longest(d); most > patience*3/4 {
					t.Errorf("%s without a ping", most)
				}
				if n := len(h.pings); n > int(d/(patience/4))+1 {
					t.Errorf("%d pings in %s: more than two an interval", n, d)
				}
			})
		})
	}
}

// TestWatchdogMissesADaemonThatHangs: an edge that minds no time-out is found
// out, and the daemon started anew.
func TestWatchdogMissesADaemonThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		o.do = func(context.Context, string) error {
			if o.made("SpotAction") == 3 {
				time.Sleep(time.Hour)
			}
			return nil
		}
		h := watched(t, o, 5*time.Second, 30*time.Minute)
		if most := h.longest(30 * time.Minute); most < patience {
			t.Errorf("pings went on: at most %s between two", most)
		}
	})
}

func TestNoWatchdogNoPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside()
		o.units[life.UnitMonitor] = true
		opts, _ := options(t, o)
		h := &told{begin: time.Now()}
		opts.Notify = h.notify
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		Run(ctx, life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second}), opts)
		if len(h.pings) > 0 {
			t.Errorf("pings at %v", h.pings)
		}
		if want := []string{"READY=1", "STATUS=watch the metadata", "STOPPING=1"}; !slices.Equal(h.states, want) {
			t.Errorf("told %q, want %q", h.states, want)
		}
	})
}
