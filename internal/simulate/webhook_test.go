package simulate

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// TestWebhookBesideFleets lives fleets with the job hook's machine among them: no job is
// stuck, nothing is raised for none, and no other promise breaks for it.
func TestWebhookBesideFleets(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := Draw(seed)
			s.Webhook = true
			first := Run(s, Options{Log: true})
			for _, b := range first.Broken {
				t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
			}
			if seed < 3 {
				if again := Run(throughFile(t, s), Options{Log: true}); !bytes.Equal(first.Log, again.Log) {
					t.Error("two runs of one schedule differ")
				}
			}
			if n := bytes.Count(first.Log, []byte("webhook: sets desired")); n == 0 {
				t.Error("it has raised nothing: this proves nothing")
			}
		})
	}
}

// TestWebhookIsJudged: one that is killed before each of its actions leaves jobs stuck,
// and one that raises too far, or lower, is told of.
func TestWebhookIsJudged(t *testing.T) {
	t.Parallel()
	s := Draw(7)
	s.Webhook = true
	l := newLoop(s, Options{Stop: "stuck"}, nil, 0)
	l.webhook.plan = webhookPlan{kill: 1}
	l.run()
	if !slices.ContainsFunc(l.broken, func(b Broken) bool { return b.Promise == "stuck" }) {
		t.Errorf("no job is stuck: %v", l.broken)
	}
	for to, want := range map[int]int{4: 0, 5: 1, 2: 1, 3: 1, 101: 2} {
		l := newLoop(s, Options{}, nil, 0)
		x := l.webhook
		x.listed, x.set.Forecast.Most = fleet.Group{Desired: 3, Max: 100}, 0
		x.jobs = make([]hookJob, 4*l.slots) // so many wait
		x.judgeRaise(to)
		if len(l.broken) != want {
			t.Errorf("raised to %d: %v", to, l.broken)
		}
	}
}
