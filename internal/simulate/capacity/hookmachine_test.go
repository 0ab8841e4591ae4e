package capacity

import (
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// hookMachine is the policy whose webhook is the production machine, in place of this
// package's short cut to its decisions.
type hookMachine struct {
	*shoal
	forecast scaling.ForecastSettings
	m        *life.JobHook
	inbox    []life.JobEvent
	gen      int32 // of its sleep
}

func (p *hookMachine) begin(e *engine) {
	p.hook.on = true
	p.shoal.begin(e)
	e.tell = func(j int32, what jobEvent) {
		p.inbox = append(p.inbox, life.JobEvent{Job: p.job(e, j, what)})
		e.at(e.now, hookActs, 0, 0)
	}
	p.m = life.NewJobHook(life.JobHookSettings{Group: "ci", Slots: e.opt.meanSlots(), Forecast: p.forecast, Seed: 1})
	p.live(e, life.Started{})
}

func (p *hookMachine) queued(*engine) {}

func (p *hookMachine) due(e *engine, due *event) {
	switch {
	case due.kind == hookActs:
		news := p.inbox[0]
		p.inbox = p.inbox[1:]
		p.live(e, news)
	case due.kind != hookLooks:
		p.shoal.due(e, due)
	case due.a == p.gen:
		p.live(e, life.Woke{})
	}
}

func (p *hookMachine) job(e *engine, j int32, what jobEvent) fleet.Job {
	t, attempt := &e.plan.trace.Jobs[j], e.attempt[j]
	if what != jobCreated && what != jobPending {
		attempt--
	}
	told := hookJob(t.Pipeline, t.Stage, j, attempt)
	job := fleet.Job{ID: told.ID + 1, Project: 1, Pipeline: told.Pipeline, State: fleet.JobFinished, Aside: what == jobCut}
	if t.Pipeline != 0 {
		job.Stage = strconv.Itoa(t.Stage)
	}
	if what < jobEnded {
		job.State = []fleet.JobState{fleet.JobCreated, fleet.JobPending, fleet.JobRunning}[what]
	}
	return job
}

func (p *hookMachine) live(e *engine, news life.Event) {
	for {
		actions := p.m.Take(news, p.time(e.now), nil)
		r := life.Result{Action: actions[len(actions)-1]}
		switch a := r.Action.(type) {
		case life.Sleep:
			p.gen++
			e.at(a.Until.Sub(p.start), hookLooks, p.gen, 0)
			return
		case life.LoadBacklog:
			r.Value = (*life.Backlog)(nil)
		case life.DescribeGroup:
			r.Value, _ = p.look(e)
		case life.SetDesired:
			e.callOnce()
			e.setDesired(a.Desired)
		}
		news = r
	}
}

// TestHookIsTheMachine: what is said of the webhook here holds for the machine that is
// shipped, its calls too.
func TestHookIsTheMachine(t *testing.T) {
	o := golden()
	o.Boot, o.Max = 90*time.Second, 80
	for _, name := range []string{"team-fortnight", "monorepo-week", "many-teams-fortnight"} {
		f, err := os.Open("../../../docs/traces/" + name + ".csv")
		if err != nil {
			t.Fatal(err)
		}
		tr, err := trace.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		plan := NewPlan(tr)
		for spec, forecast := range map[string]scaling.ForecastSettings{"shoal:hook=on": {}, "shoal:hook=on,anticipate=on": scaling.UsualForecast()} {
			p, err := Parse(spec)
			if err != nil {
				t.Fatal(err)
			}
			var short, whole []Result
			for seed := range uint64(3) {
				short = append(short, Run(plan, p, o, seed, nil))
				whole = append(whole, Run(plan, Policy{make: func() policy { return &hookMachine{shoal: newShoal(), forecast: forecast} }}, o, seed, nil))
			}
			a, b := Median(short), Median(whole)
			t.Logf("%s, %s: mean wait %.3f, p95 %.3f, hours %.3f, launches %.3f, calls %.3f", name, spec, b.Wait.Mean/a.Wait.Mean, b.Wait.P95/a.Wait.P95, b.InstanceHours/a.InstanceHours, b.Launches/a.Launches, b.APICalls/a.APICalls)
			off := func(a, b float64) float64 { return math.Abs(b/a - 1) }
			if off(a.Wait.Mean, b.Wait.Mean) > 0.05 || off(a.Wait.P95, b.Wait.P95) > 0.03 || off(a.InstanceHours, b.InstanceHours) > 0.02 || off(a.Launches, b.Launches) > 0.04 || off(a.APICalls, b.APICalls) > 0.05 {
				t.Errorf("%s, %s: the machine has %+v, the short cut %+v", name, spec, b, a)
			}
		}
	}
}
