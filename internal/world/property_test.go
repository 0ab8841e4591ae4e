package world

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	seeds = 25
	steps = 250
)

// TestProperties does at random what can be done, and holds after every step
// what must always hold, and in the end what must come about.
func TestProperties(t *testing.T) {
	for seed := range uint64(seeds) {
		first := play(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if again := play(t, seed); !slices.Equal(first, again) {
			t.Fatalf("seed %d: the same world twice, and not the same events", seed)
		}
	}
}

// play runs one seed and returns every event's text.
func play(t *testing.T, seed uint64) []string {
	dice := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, Options{
		Rand: rand.New(rand.NewPCG(seed, 2)), Boot: 30 * time.Second, BootSpread: 0.5, React: 2 * time.Second,
		HealthCheck: 20 * time.Second, Shutdown: 5 * time.Second, TwoPhase: seed%3 == 0, JobTimeout: 20 * time.Minute, StuckAfter: 15 * time.Minute,
	}, hooked("ci", 1, 6, 2), plain("other", 0, 4, 1))
	r.AddAccessToken(AccessToken{Token: "admin", Scopes: []string{ScopeAPI}})
	r.shared(NewRunner{RunUntagged: true, Tags: []string{"a"}})
	p := &player{rig: r, dice: dice, handed: map[int64]string{}}
	for range steps {
		p.step()
		p.invariants()
		p.timeIsHonest(p.pass(time.Duration(dice.IntN(20_000)) * time.Millisecond))
	}
	p.settle()
	return r.log
}

type player struct {
	*rig
	dice   *rand.Rand
	handed map[int64]string // tokens of jobs that run
	last   time.Time
}

func (p *player) pick(list []string) string {
	if len(list) == 0 {
		return "i-none"
	}
	return list[p.dice.IntN(len(list))]
}

// step does one thing. Refusals are part of life; what is checked is the world.
func (p *player) step() {
	id := p.pick(p.ids())
	group := []string{"ci", "other"}[p.dice.IntN(2)]
	result := []string{Continue, Continue, Continue, Abandon}[p.dice.IntN(4)]
	yes := p.dice.IntN(2) == 0
	var err error
	switch p.dice.IntN(22) {
	case 0, 1, 2:
		err = p.SetDesired(p.now, group, p.dice.IntN(8))
	case 3, 4, 5, 6:
		err = p.Complete(p.now, group, []string{"start", "end"}[p.dice.IntN(2)], id, result)
	case 7:
		err = p.Heartbeat(p.now, "ci", "end", id)
	case 8:
		_, err = p.Terminate(p.now, id, yes)
	case 9, 10:
		err = p.Protect(p.now, group, yes, id)
	case 11:
		err = p.SetHealth(p.now, id, yes, yes)
	case 12:
		err = p.Interrupt(p.now, id, time.Duration(p.dice.IntN(120))*time.Second)
	case 13:
		err = p.Crash(p.now, id)
	case 14:
		_, err = p.EnterStandby(p.now, group, yes, id)
	case 15:
		_, err = p.ExitStandby(p.now, group, id)
	case 16:
		_, err = p.Detach(p.now, group, yes, id)
	case 17, 18:
		p.SubmitJob(p.now, JobSpec{Tags: [][]string{nil, {"a"}, {"b"}}[p.dice.IntN(3)]})
	case 19, 20:
		err = p.ask(yes)
	case 21:
		err = p.report(yes)
	}
	var api *APIError
	var lab *HTTPError
	if err != nil && !errors.As(err, &api) && !errors.As(err, &lab) {
		p.t.Errorf("an error of no kind: %v", err)
	}
}

func (p *player) ask(twoPhase bool) error {
	h, err := p.RequestJob(p.now, JobRequest{Token: "glrt-shared", SystemID: testMachine, TwoPhase: twoPhase})
	if h.Job != nil {
		p.handed[h.Job.ID] = h.Token
	}
	return err
}

func (p *player) report(ok bool) error {
	for id := int64(1); id < 100; id++ {
		if token := p.handed[id]; token != "" {
			delete(p.handed, id)
			return p.UpdateJob(p.now, id, token, JobUpdate{State: map[bool]string{true: "success", false: "failed"}[ok]})
		}
	}
	return nil
}

// invariants hold at any moment.
func (p *player) invariants() {
	p.t.Helper()
	rec := p.Records(p.now)
	for _, g := range rec.Groups {
		if g.Desired < g.Min || g.Desired > g.Max {
			p.t.Errorf("%s: desired %d is not in [%d, %d]", g.Name, g.Desired, g.Min, g.Max)
		}
	}
	for _, i := range rec.Instances {
		if i.State == Terminated && i.Alive() || i.State == Terminated && i.Reason == "" {
			p.t.Errorf("%s is terminated, alive %t, reason %q", i.ID, i.Alive(), i.Reason)
		}
		if !i.BootedAt.IsZero() && i.BootedAt.Before(i.LaunchedAt) || !i.InServiceAt.IsZero() && i.InServiceAt.Before(i.BootedAt) {
			p.t.Errorf("%s lives backwards: %+v", i.ID, i)
		}
	}
	for _, j := range rec.Jobs {
		if (j.Status == JobRunning) != (!j.StartedAt.IsZero() && j.FinishedAt.IsZero()) || j.Status.Finished() == j.FinishedAt.IsZero() {
			p.t.Errorf("job %d is %s, started %v, finished %v", j.ID, j.Status, j.StartedAt, j.FinishedAt)
		}
	}
}

// timeIsHonest: events come in order, and nothing that was due is still to come.
func (p *player) timeIsHonest(events []Event) {
	p.t.Helper()
	for _, e := range events {
		at, err := time.Parse("2006-01-02T15:04:05.000Z", e.String()[:24])
		if err != nil {
			p.t.Fatal(err)
		}
		if at.Before(p.last) || at.After(p.now) {
			p.t.Errorf("%s came after %v, at %v", e, p.last, p.now)
		}
		p.last = at
	}
	if next := p.Next(); !next.IsZero() && !next.After(p.now) {
		p.t.Errorf("due at %v, not done at %v", next, p.now)
	}
}

// settle lets go of everything: every wait ends by itself, every group comes to
// its desired count, every job ends.
func (p *player) settle() {
	p.t.Helper()
	p.must(p.DeleteHook(p.now, "ci", "start")) // or launches would be abandoned for ever
	for _, id := range p.ids() {
		_, _ = p.ExitStandby(p.now, "ci", id)
		_, _ = p.ExitStandby(p.now, "other", id)
		_ = p.Protect(p.now, "ci", false, id)
		_ = p.Protect(p.now, "other", false, id)
	}
	for n := 0; !p.Next().IsZero(); n++ {
		if n > 10_000 {
			p.t.Fatal("it never comes to rest")
		}
		p.timeIsHonest(p.pass(p.Next().Sub(p.now)))
		p.invariants()
	}
	for _, g := range p.Groups(p.now) {
		n := 0
		for _, i := range g.Instances {
			switch i.State {
			case InService:
				n++
				if !p.record(i.ID).Alive() {
					p.t.Errorf("%s: %s is dead, and in service for ever", g.Name, i.ID)
				}
			case Standby:
			default:
				p.t.Errorf("%s: %s is %s for ever", g.Name, i.ID, i.State)
			}
		}
		if n != g.Desired {
			p.t.Errorf("%s: %d in service, desired %d", g.Name, n, g.Desired)
		}
	}
	for _, j := range p.Jobs(p.now) {
		if !j.Status.Finished() {
			p.t.Errorf("job %d is %s for ever", j.ID, j.Status)
		}
	}
}

// TestRecords: calls are counted, sorted and summed; all that ever was is there.
func TestRecords(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 2, 2))
	for _, c := range [][2]string{{"imds", "GET /x"}, {"autoscaling", "B"}, {"autoscaling", "A"}, {"autoscaling", "B"}} {
		r.CountCall(c[0], c[1])
	}
	r.must(r.SetDesired(r.now, "ci", 0))
	r.pass(0)
	rec := r.Records(r.now)
	want := []Calls{{"autoscaling", "A", 1}, {"autoscaling", "B", 2}, {"imds", "GET /x", 1}}
	if !slices.Equal(rec.Calls, want) || rec.CallsTo("autoscaling") != 3 || rec.CallsTo("gitlab") != 0 {
		t.Errorf("calls %+v", rec.Calls)
	}
	if len(rec.Instances) != 2 || len(rec.Groups) != 1 || rec.Instances[0].ID == rec.Instances[1].ID {
		t.Errorf("records %+v", rec)
	}
}

// TestTimeDoesNotRunBackwards: an earlier time counts as the latest seen.
func TestTimeDoesNotRunBackwards(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 0, 2, 1))
	r.pass(30 * time.Second)
	id := r.ids()[0]
	r.must(r.Heartbeat(epoch.Add(-time.Hour), "ci", "start", id))
	r.pass(59 * time.Second)
	r.wantStates("a heartbeat from the past counts from now", PendingWait)
}
