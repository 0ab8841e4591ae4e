package demand

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/world"
)

// slowAWS answers as AWS does on a middling day.
func slowAWS(d time.Duration) func(emulator.Request) emulator.Fault {
	return func(q emulator.Request) emulator.Fault {
		if q.Service == emulator.ServiceAutoScaling {
			return emulator.Fault{Latency: d}
		}
		return emulator.Fault{}
	}
}

// TestBurstFromZero: 500 jobs begin to wait at 2,000 a second where no instance is:
// one raise, to the right number, within a second of the first.
func TestBurstFromZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, scene{fault: slowAWS(150 * time.Millisecond)})
		defer s.end()
		began := time.Now()
		for id := range int64(500) {
			s.hear(event(id+1, 1, "pending", ""))
			time.Sleep(500 * time.Microsecond)
		}
		time.Sleep(time.Second)
		got := s.raises()
		if len(got) != 1 || got[0].to != 84 || got[0].at.Sub(began) > time.Second {
			t.Errorf("raised %+v, begun %s", got, began)
		}
		if lines := strings.Count(s.log.String(), "raised desired capacity"); lines != 1 {
			t.Errorf("said %d times:\n%s", lines, s.log)
		}
	})
}

// TestBurstThroughBadWeather: the same events shuffled, doubled, and one in ten lost.
// After one reconciliation capacity is right.
func TestBurstThroughBadWeather(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, scene{fault: slowAWS(150 * time.Millisecond)})
			defer s.end()
			r := rand.New(rand.NewPCG(seed, 3))
			s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}, Fate: func(int, string) emulator.Fate {
				return emulator.Fate{Lost: r.Float64() < 0.1, Twice: true, Late: time.Duration(r.IntN(250)) * time.Millisecond}
			}})
			for range 500 {
				s.SubmitJob(world.JobSpec{Name: "unit"})
			}
			time.Sleep(2 * time.Second)
			if got := s.raises(); len(got) != 1 || got[0].to < 70 || got[0].to > 84 {
				t.Errorf("seed %d: raised %+v", seed, got)
			}
			time.Sleep(6 * time.Minute) // a reconciliation comes every four to five
			if n := s.desired("ci"); n != 84 {
				t.Errorf("seed %d: desired is %d after a reconciliation\n%s", seed, n, s.log)
			}
		})
	}
}

// TestTwiceIsNoOvershoot: events that come twice launch nothing twice, also when AWS'
// answer to the raise is lost.
func TestTwiceIsNoOvershoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, scene{fault: func(q emulator.Request) emulator.Fault {
			lost := q.Operation == "SetDesiredCapacity" && q.N == 1
			return emulator.Fault{Apply: lost, Drop: lost}
		}})
		defer s.end()
		for range 3 {
			for id := range int64(12) {
				s.hear(event(id+1, 1, "pending", ""))
			}
			time.Sleep(5 * time.Second)
		}
		if n := s.desired("ci"); n != 2 {
			t.Errorf("desired %d", n)
		}
	})
}

// TestRestart: what was believed is taken up by the next process, also after a kill.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scene{groups: []string{"ci x6"}, noToken: true}
		s := newSite(t, c)
		s.hear(event(1, 1, "pending", ""))
		s.stop() // within the window
		if n := s.desired("ci"); n != 1 {
			t.Errorf("what was accepted has not been finished: desired %d", n)
		}
		s.begin(c)
		defer s.end()
		for id := range int64(6) {
			s.hear(event(id+2, 1, "pending", ""))
		}
		time.Sleep(time.Second)
		if n := s.desired("ci"); n != 2 {
			t.Errorf("desired %d: the first job is forgotten\n%s", n, s.log)
		}
	})
}

// TestAWSAwayHoldsUpNoAnswer, and no other group; it is made good once AWS is back.
func TestAWSAwayHoldsUpNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := time.Now().Add(2 * time.Minute)
		s := newSite(t, scene{
			groups: []string{"ci x6: a", "other x6: b"}, specs: []world.GroupSpec{{Name: "ci", Max: 9}, {Name: "other", Max: 9}},
			fault: func(q emulator.Request) emulator.Fault {
				_ = q.HTTP.ParseForm()
				return emulator.Fault{Hang: time.Now().Before(away) && strings.Contains(q.HTTP.Form.Encode(), "=ci")}
			},
		})
		defer s.end()
		began := time.Now()
		for id := range int64(40000) { // more than the queue has room for
			s.hear(event(id+1, 1, "pending", `,"tag_list":["a"]`))
		}
		s.hear(event(99999, 1, "pending", `,"tag_list":["b"]`))
		if took := time.Since(began); took > 0 {
			t.Errorf("the answers took %s", took)
		}
		time.Sleep(time.Second)
		if a, b := s.desired("ci"), s.desired("other"); a != 0 || b != 1 {
			t.Errorf("desired %d and %d", a, b)
		}
		time.Sleep(3 * time.Minute)
		if n := s.desired("ci"); n != 9 {
			t.Errorf("desired %d once AWS is back", n)
		}
	})
}
