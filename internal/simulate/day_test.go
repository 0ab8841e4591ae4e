package simulate

import (
	"regexp"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

const day = 24 * time.Hour

// aDay is a fleet of four that neither grows nor shrinks, with a job a minute, in
// a run that leaves two hours after a day of trouble.
func aDay(mode fleet.Mode, faults ...Fault) *loop {
	s := setup{
		mode: mode, sections: 1, slots: 2, mayList: true, low: 4, high: 4, desired: 4,
		launchHook: 10 * time.Minute, endHook: 2 * time.Minute, hold: 50 * time.Second,
		length: day + 3*time.Hour, quietAt: day + 2*time.Hour,
		world: world.Options{Boot: 30 * time.Second, React: 3 * time.Second, HealthCheck: time.Minute, Shutdown: 5 * time.Second, TwoPhase: true, JobTimeout: 3 * time.Hour},
	}
	for at := time.Minute; at < s.length-10*time.Minute; at += time.Minute {
		s.work = append(s.work, work{at: at, takes: time.Minute})
	}
	l := newLoopOf(s, Schedule{Seed: 24, Faults: faults}, Options{Log: true}, nil, 0)
	l.run()
	l.judge()
	return l
}

// mustHaveStayed demands that the four of the beginning are those of the end, that
// none was ever to go, and that no job suffered.
func mustHaveStayed(t *testing.T, l *loop) {
	t.Helper()
	for _, b := range l.broken {
		t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
	}
	if len(l.instances) != 4 || l.interrupted+l.lost+l.gone > 0 {
		t.Errorf("%d instances there were, %d jobs interrupted, %d lost", len(l.instances), l.interrupted, l.lost)
	}
	for _, i := range l.instances {
		if i.dead || !i.inService || i.noticeAt > 0 && i.noticeKind != fleet.NoticeShutdown || !l.works(i) {
			t.Errorf("i%02d: dead %v, in service %v, notice %q, %q", i.number, i.dead, i.inService, i.noticeKind, l.whyNot(i))
		}
	}
}

// TestADayOfSickMetadata: one request in five fails, as 401, 5xx, garbage or by
// hanging, and nothing is drained.
func TestADayOfSickMetadata(t *testing.T) {
	t.Parallel()
	l := aDay(fleet.ModeToken, Fault{Kind: MetadataSick, At: 10 * time.Minute, For: day, Count: 20})
	mustHaveStayed(t, l)
	failed := len(regexp.MustCompile(`(?m) (ReadTarget|ReadSpot|ReadRebalance|ReadMaintenance): metadata sick$`).FindAll(l.text, -1))
	if failed < 25_000 || l.finished < 24*60 {
		t.Errorf("%d requests failed, %d jobs finished: this proves nothing", failed, l.finished)
	}
}

// TestADayWithoutTheSharedToken, revoked or rotated, with a reboot and a soft one in
// the middle of it: no instance is replaced, each says it at most once as an error,
// and all work again when it is mended, without anybody's help.
func TestADayWithoutTheSharedToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		mode   fleet.Mode
		faults []Fault
	}{
		{"revoked", fleet.ModeToken, []Fault{{Kind: TokenRevoked}}},
		{"rotated", fleet.ModeToken, []Fault{{Kind: TokenRotated}}},
		{"revoked, with reboots", fleet.ModeToken, []Fault{{Kind: TokenRevoked}, {Kind: Reboot, At: 5 * time.Hour, Instance: 1}, {Kind: SoftReboot, At: 7 * time.Hour, Instance: 2}}},
		{"rotated, with reboots", fleet.ModeToken, []Fault{{Kind: TokenRotated}, {Kind: Reboot, At: 5 * time.Hour, Instance: 1}, {Kind: SoftReboot, At: 7 * time.Hour, Instance: 2}}},
		{"the one that makes runners, and theirs deleted", fleet.ModeCreate, []Fault{{Kind: TokenRevoked}, {Kind: DeleteRunners, At: 5 * time.Hour, Instance: 1, Count: 4}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.faults[0].At, c.faults[0].For = time.Hour, day
			l := aDay(c.mode, c.faults...)
			mustHaveStayed(t, l)
			for _, i := range l.instances {
				said := regexp.MustCompile(`(?m)^\S+ `+sprintf("i%02d", i.number)+` \S+ error: .*$`).FindAll(l.text, -1)
				reboots := i.boots - 1 // what a boot has said is gone with it
				if len(said) > 1+reboots {
					t.Errorf("i%02d says %d errors in a day: %s", i.number, len(said), said)
				}
			}
			late := 0
			for _, j := range l.jobs {
				if j != nil && j.got > day+2*time.Hour+30*time.Minute {
					late++
				}
			}
			if l.hits[c.faults[0].Kind] == 0 || late < 10 {
				t.Errorf("%v; %d jobs in the last half hour", l.hits, late)
			}
		})
	}
}
