package capacity

import (
	"errors"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/simulate"
)

// Check tells what of the options a policy cannot be played with.
func (with Policy) Check(o Options) error {
	p, ok := with.make().(*shoal)
	if !ok || !p.machines {
		return nil
	}
	switch {
	case len(o.Slots) > 1:
		return errors.New("machines=on is played with one number of slots")
	case o.SpotMTBF > 0 || o.APIRate > 0:
		return errors.New("machines=on is played without interruptions and throttling: test/soak is about those")
	case p.hook.on:
		return errors.New("machines=on is played without a webhook: leave hook=on out, or machines=on")
	case p.gauge == 0:
		return errors.New("machines=on is played with gauge=1")
	}
	return nil
}

// machines plays a plan by the daemons' own machines, step by step, on the model that
// their reliability is tested on, in place of this package's short cut to their
// decisions.
func (p *shoal) playMachines(plan *Plan, o Options, seed uint64, progress func(done int) bool, rec *recorder) (Result, Record) {
	if p.patience.Idle > 0 {
		o.Idle = p.patience.Idle
	}
	spares := life.SpareSettings{Slots: p.scheduleIn(plan.zone()), Hold: p.spareHold}
	f := simulate.LiveOptions{
		Slots: o.Slots[0], Min: o.Min, Max: o.Max, Boot: o.Boot, Idle: o.Idle, CheckInterval: o.CheckInterval, PollHold: p.pollHold,
		Monitor: life.MonitorSettings{Period: p.period, SaturatedPeriod: p.saturated, LearnIdle: p.patience.Most, UnprotectAfter: p.unprotect, Spares: spares},
		ScaleUp: life.ScaleUpSettings{Period: p.saturated, BlindAfter: p.growth.BlindAfter, Spares: spares},
	}
	tasks, stages := plan.tasks()
	lived := simulate.Live(f, tasks, stages, seed, progress)
	s := scored(o, lived)
	var record Record
	if rec != nil {
		rec.play(changes(plan.first, lived))
		record = Record{rec.timeline(watchLaunched, watchBusy, watchQueue), distribution(s.waits)}
	}
	return s.result(len(lived.Tasks)), record
}

// tasks is the plan in the machines' words: time counts from the first job on.
func (p *Plan) tasks() ([]simulate.Task, []simulate.Stage) {
	tasks, stages := make([]simulate.Task, 0, len(p.stage)), make([]simulate.Stage, 0, len(p.stages))
	for n, j := range p.trace.Jobs {
		tasks = append(tasks, simulate.Task{At: j.Created - p.first, Takes: j.Duration, Stage: int(p.stage[n])})
	}
	for _, s := range p.stages {
		stages = append(stages, simulate.Stage{Open: s.open, Next: int(s.next)})
	}
	return tasks, stages
}

// zone is where it is the time of the trace's first job when the machines begin.
func (p *Plan) zone() *time.Location {
	begins := p.trace.Start.Add(p.first)
	_, east := begins.Zone()
	return time.FixedZone("the trace's", int(begins.Sub(simulate.Epoch).Seconds())+east)
}

// scored measures what the machines have lived as the engine measures itself.
func scored(o Options, lived simulate.Lived) *score {
	s := &score{calls: lived.Calls}
	for _, ran := range lived.Tasks {
		if ran.Began == 0 {
			s.lost++
			continue
		}
		s.waits = append(s.waits, ran.Began-ran.Ready)
		s.busy += (ran.Ended - ran.Began).Seconds()
	}
	for _, stay := range lived.Stays {
		to := stay.To
		if to == 0 {
			to = max(stay.From, lived.Over)
		}
		paid := (to - stay.From).Seconds()
		s.paidFor += paid
		s.slotTime += paid * float64(o.Slots[0])
		s.launches++
		if stay.Jobs == 0 {
			s.unused++
		}
	}
	slices.Sort(s.waits)
	return s
}

// changes is the same over time. When an instance came into service nobody wrote down.
func changes(first time.Duration, lived simulate.Lived) []change {
	var all []change
	add := func(what int, from, to time.Duration) {
		all = append(all, change{first + from, what, 1})
		if to > 0 {
			all = append(all, change{first + to, what, -1})
		}
	}
	for _, ran := range lived.Tasks {
		if ran.Began == 0 {
			continue
		}
		add(watchQueue, ran.Ready, ran.Began)
		add(watchBusy, ran.Began, ran.Ended)
	}
	for _, stay := range lived.Stays {
		add(watchLaunched, stay.From, stay.To)
	}
	return all
}
