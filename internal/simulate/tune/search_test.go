package tune_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// made is a fleet that was made up: what settings do on a part, with a seed.
type made func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64)

func (m made) evaluate(b tune.Batch) ([]capacity.Result, error) {
	all := make([]capacity.Result, len(b.Plays))
	for n, p := range b.Plays {
		w, hours := m(p.Settings, p.Part, p.Seed)
		all[n] = capacity.Result{
			Jobs: 1000, Wait: capacity.Wait{Mean: w / 3, P50: w / 4, P90: w / 1.1, P95: w, P99: w * 1.1, Max: w * 2}, InstanceHours: hours,
			Launches: 10,
		}
	}
	return all, nil
}

// ready is how many instances stand ready with settings.
func ready(s tune.Settings) float64 {
	slots := 0
	for _, text := range s.Spares {
		count, _, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			panic(err)
		}
		slots = max(slots, n)
	}
	return float64(slots) / float64(s.Slots)
}

// plain is a fleet whose jobs wait less the more stands ready, and for no other reason,
// and which pays for what stands ready, and for idle time.
func plain(s tune.Settings, _ tune.Part, _ uint64) (wait, hours float64) {
	return 100 / (1 + ready(s)), 100 + 30*ready(s) + 5*s.Idle.Minutes() + 40*float64(s.Min)
}

// noisy is a fleet with dice of some strength, which are the same for the same play.
func noisy(m made, strength float64, salt uint64) made {
	return func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
		h := fnv.New64a()
		fmt.Fprint(h, s.String(), p, seed, salt)
		r := rand.New(rand.NewPCG(h.Sum64(), salt))
		wait, hours = m(s, p, seed)
		return wait * (1 + strength*(2*r.Float64()-1)), hours * (1 + strength*(2*r.Float64()-1))
	}
}

// fortnight is a trace of jobs in working hours, for as many days.
func fortnight(days int) trace.Trace {
	r := rand.New(rand.NewPCG(7, 7))
	var jobs []trace.Job
	for d := range days {
		for range 60 {
			at := time.Duration(d)*24*time.Hour + 8*time.Hour + time.Duration(r.Float64()*float64(10*time.Hour))
			jobs = append(jobs, trace.Job{Created: at, Duration: time.Duration(r.ExpFloat64() * float64(20*time.Minute))})
		}
	}
	return trace.New(trace.Monday, jobs)
}

func input(promise string) tune.Input {
	s := tune.Defaults()
	g, err := tune.ParseWait(promise)
	if err != nil {
		panic(err)
	}
	return tune.Input{
		Trace: fortnight(14), InForce: s, Goal: g, Seeds: 3,
		Fleet: capacity.Options{Boot: 90 * time.Second, Init: 2 * time.Second},
	}
}

func search(t *testing.T, in tune.Input, m made) tune.Outcome {
	t.Helper()
	o, err := tune.Search(in, m.evaluate)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestCheapestThatKeepsThePromise: as many stand ready as are needed, and nothing else
// is turned but what saves.
func TestCheapestThatKeepsThePromise(t *testing.T) {
	for promise, want := range map[string]string{
		"p95=120s": "idle=1m",
		"p95=100s": "idle=1m",
		"p95=60s":  "idle=1m,spares=6",
		"p95=26s":  "idle=1m,spares=18",
		"mean=7s":  "idle=1m,spares=24",
	} {
		o := search(t, input(promise), plain)
		if o.Verdict != tune.Better || !strings.HasPrefix(o.Recommended.Brief+",", want+",") || !o.Recommended.Kept || !o.Recommended.Frontier {
			t.Errorf("%s: %s %+v, want %s", promise, o.Verdict, o.Recommended, want)
			continue
		}
		for _, h := range o.Halves {
			if !h.Found || !h.Kept {
				t.Errorf("%s: chosen on the %s it is not kept on the other: %+v", promise, h.Chosen, h)
			}
		}
	}
}

// TestWhatIsInForceStays: where nothing matters, or no more than the dice, nothing is
// to be changed.
func TestWhatIsInForceStays(t *testing.T) {
	flat := made(func(tune.Settings, tune.Part, uint64) (float64, float64) { return 50, 100 })
	for seed := range uint64(20) {
		o := search(t, input("p95=60s"), noisy(flat, 0.005, seed))
		if o.Verdict != tune.Keep || len(o.Recommended.Changes) != 0 || o.Saved != 0 {
			t.Errorf("seed %d: %s, %+v", seed, o.Verdict, o.Recommended)
		}
	}
}

// TestALittleOffInAHalf: settings in force that keep a promise on the whole stay where one
// half is a little beyond it, and not where it is far beyond.
func TestALittleOffInAHalf(t *testing.T) {
	for busy, want := range map[float64]tune.Verdict{1.05: tune.Keep, 1.3: tune.Better} {
		m := made(func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
			wait, hours = 60/(1+ready(s)), 100+30*ready(s)
			if p == 2 || p > 4 {
				wait *= busy
			}
			return wait, hours
		})
		if o := search(t, input("p95=60s"), m); o.Verdict != want || o.InForce.Kept != (want == tune.Keep) {
			t.Errorf("the busy half waits %.2f times as long: %s, %+v", busy, o.Verdict, o.InForce)
		}
	}
}

// TestNothingKeepsIt: what comes closest is told, and what stands in the way.
func TestNothingKeepsIt(t *testing.T) {
	slow := made(func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
		wait, hours = plain(s, p, seed)
		if s.Webhook {
			return 1, hours
		}
		return wait + 30, hours
	})
	o := search(t, input("p95=20s"), slow)
	if o.Verdict != tune.OutOfReach || o.Recommended != nil || o.Closest == nil || o.Closest.Kept {
		t.Fatalf("%s %+v %+v", o.Verdict, o.Recommended, o.Closest)
	}
	for _, p := range o.Points {
		if p.Sure < 0.98*o.Closest.Sure {
			t.Errorf("%s is closer: %+v", p.Brief, p)
		}
	}
	enough := 0
	for _, b := range o.Obstacles {
		if b.Enough {
			enough++
		}
	}
	if len(o.Obstacles) != 3 || enough != 1 || !o.Obstacles[2].Enough {
		t.Errorf("obstacles %+v", o.Obstacles)
	}
}

// TestMoneyForWaits: with a cost alone jobs wait as little as it buys; with both a
// promise that costs more is out of reach, and its price is told.
func TestMoneyForWaits(t *testing.T) {
	in := input("p95=1s")
	in.Goal = tune.Goal{Figure: "mean", MaxShare: 1.5} // 172 hours: idle for a minute, two that stand ready
	o := search(t, in, plain)
	if o.Verdict != tune.Better || o.Recommended.Hours > 1.5*o.InForce.Hours || ready(o.Recommended.Settings) != 2 {
		t.Errorf("%s %+v", o.Verdict, o.Recommended)
	}
	in = input("p95=40s")
	in.Goal.MaxShare = 1
	o = search(t, in, plain)
	if o.Verdict != tune.OutOfReach || o.Closest.Hours > o.InForce.Hours || len(o.Obstacles) == 0 || !strings.Contains(o.Obstacles[0].If, "it might cost") {
		t.Errorf("%s %+v %+v", o.Verdict, o.Closest, o.Obstacles)
	}
}

// TestTheMonthCostsWhatIsAllowed: a day on which the trace is cut is in both halves, and
// counts once.
func TestTheMonthCostsWhatIsAllowed(t *testing.T) {
	parted := made(func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
		wait, hours = plain(s, p, seed)
		switch {
		case p > 2:
			hours /= 4
		case p > tune.Whole:
			hours /= 2
		}
		return wait, hours
	})
	for _, days := range []int{5, 7, 14} {
		for share := 1.4; share < 3; share += 0.3 { // of what the settings in force cost
			in := input("p95=60s")
			in.Trace = fortnight(days)
			in.Goal = tune.Goal{Figure: "mean", MaxHours: share * 115 * 365.25 / 12 / float64(days)}
			o := search(t, in, parted)
			if o.Verdict != tune.Better || o.Recommended.HoursAMonth > in.Goal.MaxHours {
				t.Errorf("%d days: %s, %.0f hours a month of %.0f", days, o.Verdict, o.Recommended.HoursAMonth, in.Goal.MaxHours)
			}
		}
	}
}

// TestBothHalvesCount: what one half needs the other one pays for, too.
func TestBothHalvesCount(t *testing.T) {
	m := made(func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
		wait, hours = plain(s, p, seed)
		if p == 2 || p > 4 { // the second half is busier
			wait *= 2
		}
		return wait, hours
	})
	o := search(t, input("p95=60s"), m)
	if ready(o.Recommended.Settings) < 3 || o.Recommended.Sure > 60 {
		t.Errorf("%+v", o.Recommended)
	}
	if o.Halves[0].Kept || !o.Halves[1].Kept {
		t.Errorf("what was chosen on the quiet half is not enough on the other: %+v", o.Halves)
	}
}

// TestJobsAreNotLostForMoney: settings under which a job is lost are never recommended.
func TestJobsAreNotLostForMoney(t *testing.T) {
	o, err := tune.Search(input("p95=120s"), func(b tune.Batch) ([]capacity.Result, error) {
		all, err := made(plain).evaluate(b)
		for n := range all {
			if b.Plays[n].Settings.Idle < 2*time.Minute {
				all[n].JobsLost = 1
			}
		}
		return all, err
	})
	if err != nil || o.Recommended == nil || o.Recommended.Settings.Idle < 2*time.Minute {
		t.Errorf("%v %+v", err, o.Recommended)
	}
}

// TestOnlyWhatIsAllowed: a webhook and other slots are recommended only where they may
// be; a maximum is never lowered, and raised only where it is in the way.
func TestOnlyWhatIsAllowed(t *testing.T) {
	m := made(func(s tune.Settings, p tune.Part, seed uint64) (wait, hours float64) {
		wait, hours = plain(s, p, seed)
		if s.Webhook {
			hours *= 0.7
		}
		return wait, hours * 6 / float64(s.Slots) * (0.5 + float64(s.Max)/80)
	})
	in := input("p95=120s")
	o := search(t, in, m)
	if s := o.Recommended.Settings; s.Webhook || s.Slots != 6 || s.Max != 40 {
		t.Errorf("%s", o.Recommended.Brief)
	}
	if o.WithWebhook == nil || !o.WithWebhook.Settings.Webhook || o.WithWebhook.Hours >= o.Recommended.Hours {
		t.Errorf("with a webhook: %+v", o.WithWebhook)
	}
	in.Webhook, in.Slots = true, []int{4, 8}
	o = search(t, in, m)
	if s := o.Recommended.Settings; !s.Webhook || s.Slots != 8 || o.WithWebhook != nil {
		t.Errorf("%s, %+v", o.Recommended.Brief, o.WithWebhook)
	}
}

// TestOutcomeHoldsTogether: on fleets that are drawn, with dice, the recommendation keeps
// the promise on all that it was chosen by, nothing that was played is clearly better,
// the cost of a choice never exceeds that of settings in force that do, and the same
// input gives the same outcome.
func TestOutcomeHoldsTogether(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		a, b, c, d := 50+100*r.Float64(), 10+60*r.Float64(), 10*r.Float64(), r.Float64()
		m := noisy(func(s tune.Settings, p tune.Part, _ uint64) (wait, hours float64) {
			wait = a/(1+d*ready(s)) + 20/(1+s.Idle.Minutes())
			if s.Hold > 0 {
				wait *= 1.1
			}
			return wait * (1 + 0.1*float64(p%2)), 200 + b*ready(s) + c*s.Idle.Minutes() + 30*float64(s.Min)
		}, 0.01, seed)
		in := input(fmt.Sprintf("p95=%.0fs", 20+130*r.Float64()))
		in.Webhook = seed%2 == 0
		o := search(t, in, m)
		first, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(search(t, in, m))
		if err != nil || string(first) != string(again) {
			t.Errorf("seed %d: two searches differ (%v):\n%s\n%s", seed, err, first, again)
		}
		best := o.Recommended
		if best == nil {
			continue
		}
		for _, part := range []tune.Part{1, 2} {
			var w []float64
			for dice := range uint64(in.Seeds) {
				x, _ := m(best.Settings, part, dice)
				w = append(w, x)
			}
			slices.Sort(w)
			limit := in.Goal.Wait
			if o.Verdict == tune.Keep { // a half that is a little off is no reason to change them
				limit *= 1.1
			}
			if w[1] > limit || w[2] > 1.1*limit {
				t.Errorf("seed %d: promised %.0f s, waits %.1f in the %s", seed, in.Goal.Wait, w, part)
			}
		}
		for _, p := range o.Points {
			if p.Kept && p.Hours < best.Hours*0.96 {
				t.Errorf("seed %d: recommended %s for %.1f hours, but %s costs %.1f", seed, best.Brief, best.Hours, p.Brief, p.Hours)
			}
		}
		if o.InForce.Kept && best.Hours > o.InForce.Hours {
			t.Errorf("seed %d: %.1f hours, %.1f in force", seed, best.Hours, o.InForce.Hours)
		}
	}
}

// TestBatchesAddUp: no run is asked for twice, and the shares of the work rise from 0
// to at most 1.
func TestBatchesAddUp(t *testing.T) {
	for _, promise := range []string{"p95=120s", "p95=30s", "p95=0.5s"} {
		seen, at := map[string]bool{}, 0.0
		_, err := tune.Search(input(promise), func(b tune.Batch) ([]capacity.Result, error) {
			if b.From < at-1e-9 || b.To < b.From || b.To > 1+1e-9 || len(b.Plays) == 0 {
				t.Errorf("%s: a batch of %d from %.3f to %.3f, after %.3f", promise, len(b.Plays), b.From, b.To, at)
			}
			at = b.From
			for _, p := range b.Plays {
				key := fmt.Sprint(p.Settings.String(), p.Part, p.Seed, p.Options.Boot)
				if seen[key] && !p.Settings.Webhook && p.Settings.String() != tune.Defaults().String() {
					t.Errorf("%s: %s twice", promise, key)
				}
				seen[key] = true
			}
			return made(plain).evaluate(b)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(seen); n > 1500 {
			t.Errorf("%s: %d runs: too many for a minute", promise, n)
		}
	}
}

// TestSearchEndsWithItsError: an interruption ends it at once.
func TestSearchEndsWithItsError(t *testing.T) {
	stop := errors.New("interrupted")
	for after := range 30 {
		calls := 0
		_, err := tune.Search(input("p95=0.5s"), func(b tune.Batch) ([]capacity.Result, error) {
			if calls++; calls > after {
				return nil, stop
			}
			return made(plain).evaluate(b)
		})
		if !errors.Is(err, stop) || calls != after+1 {
			t.Fatalf("after %d batches: %v, %d calls", after, err, calls)
		}
	}
}

// TestThinTraces: what says too little is refused, with reasons, before anything is
// played.
func TestThinTraces(t *testing.T) {
	day := fortnight(1)
	for name, c := range map[string]struct {
		jobs []trace.Job
		want []string
	}{
		"none":    {nil, []string{"0.0 days", "0 jobs", "0 hours"}},
		"one job": {[]trace.Job{{Duration: time.Minute}}, []string{"0.0 days", "1 jobs", "in 1 hours"}},
		"a day":   {day.Jobs, []string{"0.4 days", "60 jobs", "9 hours"}},
		"two bursts": {append(slices.Repeat([]trace.Job{{Duration: time.Minute}}, 150),
			slices.Repeat([]trace.Job{{Created: 72 * time.Hour, Duration: time.Minute}}, 150)...), []string{"in 2 hours"}},
	} {
		in := input("p95=60s")
		in.Trace = trace.New(trace.Monday, c.jobs)
		o, err := tune.Search(in, func(tune.Batch) ([]capacity.Result, error) { return nil, errors.New("was played") })
		if err != nil || o.Verdict != tune.TooThin || len(o.Thin) != len(c.want) {
			t.Errorf("%s: %v %s %q", name, err, o.Verdict, o.Thin)
			continue
		}
		for n, want := range c.want {
			if !strings.Contains(o.Thin[n], want) {
				t.Errorf("%s: %q, want %q", name, o.Thin[n], want)
			}
		}
	}
}

func TestParseWait(t *testing.T) {
	for text, want := range map[string]tune.Goal{
		"p95=60s":  {Figure: "p95", Wait: 60},
		"mean=1m":  {Figure: "mean", Wait: 60},
		"max=0.5":  {Figure: "max", Wait: 0.5},
		"p50=24h":  {Figure: "p50", Wait: 86400},
		"p99=90.5": {Figure: "p99", Wait: 90.5},
	} {
		if got, err := tune.ParseWait(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "60s", "p95", "p95=", "p96=60s", "p95=0s", "p95=-5s", "p95=25h", "p95=NaN", "p95=Inf", "p95=1e300", "p95=60s=1"} {
		if got, err := tune.ParseWait(text); err == nil || math.IsNaN(got.Wait) {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}
