package demand

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/world"
)

// crew are instances that live without Shoal: each takes what waits as soon as it is
// in service, and leaves with decrement, at any moment, once it has been idle.
type crew struct {
	*site
	r     *rand.Rand
	slots int
	token string
	held  map[string][]held // jobs by instance
	since map[string]time.Time
}

// held is a job on an instance, until then.
type held struct {
	id    int64
	token string
	until time.Time
}

const (
	boot      = 90 * time.Second
	idleTime  = 2 * time.Minute
	fleetTick = time.Second
	// bound is the launch time, one reconciliation (every four to five minutes, and a
	// minute for its requests) and what looking takes.
	bound = boot + 6*time.Minute + 30*time.Second
)

// TestNoJobWaitsLong: over seeds, with events lost, doubled and shuffled and instances
// leaving at the worst moments, no job waits longer than a launch and a
// reconciliation while the group is below its maximum.
func TestNoJobWaitsLong(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { liveFleet(t, seed) })
	}
}

func liveFleet(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	s := newSite(t, scene{
		groups: []string{"ci x2"}, specs: []world.GroupSpec{{Name: "ci", Max: 60}},
		world:   world.Options{Boot: boot, Staleness: 2 * time.Second, Shutdown: time.Second, Rand: rand.New(rand.NewPCG(seed, 1))},
		runners: []world.NewRunner{{Type: world.TypeInstance, Token: "glrt-fleet", RunUntagged: true}},
	})
	defer s.end()
	loss := []float64{0, 0.1, 0.3, 0.6}[seed%4]
	s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}, Fate: func(_ int, status string) emulator.Fate {
		// Something is heard of each: of a job whose every event is lost, in a group at
		// zero, nobody knows until the next one.
		return emulator.Fate{Lost: status != "created" && r.Float64() < loss, Twice: r.Float64() < 0.2, Late: time.Duration(r.IntN(8000)) * time.Millisecond}
	}})
	f := &crew{site: s, r: r, slots: 2, token: "glrt-fleet", held: map[string][]held{}, since: map[string]time.Time{}}
	for range 2 * 3600 { // seldom enough for the group to come to zero in between
		if r.IntN(300) == 0 {
			for range 1 + r.IntN(4) {
				s.SubmitJob(world.JobSpec{Name: fmt.Sprintf("job %d", r.IntN(5))})
			}
		}
		f.step()
		time.Sleep(fleetTick)
	}
	for range 20 * 60 { // and until all is done
		f.step()
		time.Sleep(fleetTick)
	}
	waited := 0
	for _, j := range s.Records().Jobs {
		end := j.StartedAt
		if end.IsZero() {
			end = time.Now()
		}
		if w := end.Sub(j.QueuedAt); w > bound {
			t.Errorf("seed %d: job %d waited %s (%s)", seed, j.ID, w, j.Status)
		} else if w > 2*time.Second {
			waited++
		}
	}
	if t.Failed() {
		t.Logf("%s", s.log)
	}
	if waited == 0 {
		t.Error("no job ever waited: this test tries nothing")
	}
}

// step has each instance take jobs, end them, and leave when it is idle.
func (f *crew) step() {
	f.Do(func(w *world.World, now time.Time) {
		for _, i := range w.Records(now).Instances {
			if i.State == world.InService && i.Alive() {
				f.live(w, now, i.ID)
			}
		}
	})
}

func (f *crew) live(w *world.World, now time.Time, id string) {
	var left []held
	for _, h := range f.held[id] {
		if now.Before(h.until) {
			left = append(left, h)
			continue
		}
		_ = w.UpdateJob(now, h.id, h.token, world.JobUpdate{State: "success"}) // it is the runner's own
	}
	for len(left) < f.slots {
		h, err := w.RequestJob(now, world.JobRequest{Token: f.token, SystemID: "s_000000000000"})
		if err != nil || h.Job == nil {
			break
		}
		left = append(left, held{h.Job.ID, h.Token, now.Add(time.Duration(20+f.r.IntN(90)) * time.Second)})
	}
	if len(left) == 0 && f.since[id].IsZero() {
		f.since[id] = now
	} else if len(left) > 0 {
		f.since[id] = time.Time{}
	}
	if (len(left) > 0) != (len(f.held[id]) > 0) {
		_ = w.Protect(now, "ci", len(left) > 0, id)
	}
	f.held[id] = left
	if len(left) == 0 && now.Sub(f.since[id]) > idleTime {
		_, _ = w.Terminate(now, id, true)
		delete(f.held, id)
	}
}
