package scaling_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

func TestPace(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{
		0: 3 * time.Second, 59 * time.Second: 3 * time.Second, time.Minute: 10 * time.Second, time.Hour: 10 * time.Second,
	} {
		if got := scaling.Pace(idle, 10*time.Second, 3*time.Second); got != want {
			t.Errorf("idle for %s: %s, want %s", idle, got, want)
		}
	}
	if got := scaling.Pace(0, 2*time.Second, 3*time.Second); got != 2*time.Second {
		t.Errorf("a slow one quicker than the quick: %s", got)
	}
}

func TestLookAgain(t *testing.T) {
	for looks, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		if got := scaling.LookAgain(3*time.Minute, looks); got != want {
			t.Errorf("after %d looks: %s, want %s", looks, got, want)
		}
	}
	if got := scaling.LookAgain(5*time.Second, 0); got != 5*time.Second {
		t.Errorf("a short threshold: %s", got)
	}
}

func TestPatience(t *testing.T) {
	fixed := scaling.PatienceSettings{Idle: 3 * time.Minute}
	learning := scaling.PatienceSettings{Idle: 3 * time.Minute, Most: 30 * time.Minute}
	var p scaling.Patience
	for _, set := range []scaling.PatienceSettings{fixed, learning} {
		if got := p.For(set); got != 3*time.Minute {
			t.Errorf("nothing learned: %s", got)
		}
	}
	for range 20 {
		p.Took(4 * time.Minute)
	}
	if got := p.For(fixed); got != 3*time.Minute {
		t.Errorf("one that does not learn: %s", got)
	}
	if got := p.For(learning); got != 16*time.Minute {
		t.Errorf("a job every four minutes: %s", got)
	}
	for range 20 {
		p.Took(time.Hour)
	}
	if got := p.For(learning); got != 30*time.Minute {
		t.Errorf("a job an hour: %s", got)
	}
	for range 20 {
		p.Took(time.Second)
	}
	if got := p.For(learning); got != 3*time.Minute {
		t.Errorf("a job a second: %s", got)
	}
}
