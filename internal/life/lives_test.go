package life_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

var lives = flag.Int("lives", 150, "how many lives TestLives lives")

// TestLives lives whole lives of an instance, with jobs, outages, kills and lost
// answers at random, and looks whether the promises hold at their end. A failing
// seed replays exactly: go test -run 'TestLives/seed_7$'.
func TestLives(t *testing.T) {
	n := *lives
	if raceEnabled {
		n /= 10
	}
	for seed := range n {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { live(t, uint64(seed)) })
	}
}

func live(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	mode := modes[r.IntN(2)] // token, create: legacy has no way to find a lost runner
	s, set := inMode(t, mode, 1+r.IntN(2))
	set.monitor.Mode = mode
	s.proc.longPoll = time.Duration(1+r.IntN(50)) * time.Second
	s.group.Desired, s.group.Min = 2, r.IntN(3)
	s.group.Instances = append(s.group.Instances, member("i-z", r.IntN(2) == 0))
	s.endDelay = time.Duration(r.IntN(4)) * time.Second
	for unit := range verbs {
		s.units[unit] = &program{unit: unit, set: &set}
	}
	trouble := chance(r, s)
	s.start(life.UnitInit)
	s.start(life.UnitLifecycleCheck)
	s.start(life.UnitMonitor)
	for at := time.Duration(0); at < 40*time.Minute; at += time.Duration(r.IntN(600)) * time.Second {
		long := time.Duration(1+r.IntN(1200)) * time.Second
		s.after(at, func() { s.proc.arrive(long) })
	}
	spot := r.IntN(3) == 0
	for range r.IntN(3) {
		s.standby(time.Duration(r.IntN(2400))*time.Second, time.Duration(10+r.IntN(300))*time.Second)
	}
	s.after(time.Duration(300+r.IntN(3600))*time.Second, func() {
		switch {
		case s.me().State != fleet.InService:
		case spot:
			s.interrupt(2 * time.Minute)
		default:
			s.scaleIn()
		}
	})
	how := []fleet.Shutdown{fleet.NotGoingDown, fleet.NotGoingDown, fleet.Reboot, fleet.PowerOff}[r.IntN(4)]
	s.soft = r.IntN(2) == 0
	if how != fleet.NotGoingDown {
		s.after(time.Duration(r.IntN(3600))*time.Second, func() { s.goDown(how) })
	}
	s.run(75 * time.Minute)
	s.chaos, s.fail, s.gitlab.down = nil, nil, nil // the trouble is over
	s.run(20 * time.Minute)
	judge(t, s, mode, spot || how == fleet.PowerOff)
	if t.Failed() {
		t.Logf("seed %d, mode %s, spot %v, shutdown %q, trouble %v", seed, mode, spot, how, *trouble)
	}
}

// judge is what must be true at the end of any life; short is one whose end was
// not its own to choose.
func judge(t *testing.T, s *site, mode fleet.Mode, short bool) {
	if len(s.proc.reported) > 0 && !short {
		t.Errorf("jobs %v were killed, and nobody asked for it", s.proc.reported)
	}
	if done := len(s.proc.finished) + len(s.proc.reported) + len(s.proc.jobs); done != len(s.proc.took) {
		t.Errorf("%d jobs taken, %d accounted for", len(s.proc.took), done)
	}
	switch {
	case s.dead && registered(s, mode) != 0 && !(short && s.saidAt(life.Error, "stays behind") == 1): // GitLab was away in the last seconds
		t.Errorf("%d runners left in GitLab", registered(s, mode))
	case s.dead && len(s.completed) > 0 && !strings.HasPrefix(s.completed[len(s.completed)-1], "stop") && !short:
		t.Errorf("completed %v", s.completed)
	case !s.dead && s.me().State == fleet.InService:
		mustWork(t, s, "alive at the end")
	}
	for _, x := range s.exits {
		if strings.HasSuffix(x, " 3") || strings.HasSuffix(x, " 2") {
			t.Errorf("exits %v: refused for good, and nobody had refused", s.exits)
		}
	}
}

// chance makes every hundredth action or so go wrong, and the outside go away
// for a minute now and then.
func chance(r *rand.Rand, s *site) *int {
	trouble := new(int)
	s.chaos = func() *fault {
		if r.IntN(120) > 0 {
			return nil
		}
		*trouble++
		f := &fault{kill: r.IntN(3) == 0, effect: r.IntN(2) == 0}
		if !f.kill {
			f.failure = temporary()
			if !f.effect && r.IntN(2) == 0 {
				f.failure = &fleet.Failure{Kind: fleet.Throttled, Op: "ask", RetryAfter: time.Duration(r.IntN(30)) * time.Second}
			}
		}
		return f
	}
	var until time.Time
	who := 0
	s.fail = func(a life.Action) *fleet.Failure {
		if s.now.After(until) {
			s.gitlab.down = nil
			if r.IntN(400) == 0 {
				until, who = s.now.Add(time.Duration(r.IntN(60))*time.Second), r.IntN(3)
				*trouble++
			}
			return nil
		}
		name := fmt.Sprintf("%T", a)
		switch {
		case who == 0:
			s.gitlab.down = temporary()
		case who == 1 && (name == "life.ReadTarget" || name == "life.ReadSpot"):
			return temporary()
		case who == 2 && (strings.Contains(name, "Describe") || strings.Contains(name, "Hook") || strings.Contains(name, "Terminate")):
			return kind(fleet.Throttled)
		}
		return nil
	}
	return trouble
}

// standby puts the instance into Standby for a while.
func (s *site) standby(in, d time.Duration) {
	s.after(in, func() {
		if s.me().State != fleet.InService {
			return
		}
		s.me().State, s.target = fleet.Standby, fleet.Standby
		s.after(d, func() {
			if s.me().State == fleet.Standby {
				s.me().State, s.target = fleet.InService, fleet.InService
			}
		})
	})
}
