package simulate

import (
	"bytes"
	"fmt"
	"testing"
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
			if again := Run(throughFile(t, s), Options{Log: true}); !bytes.Equal(first.Log, again.Log) {
				t.Error("two runs of one schedule differ")
			}
			if n := bytes.Count(first.Log, []byte("webhook: sets desired")); n == 0 {
				t.Error("it has raised nothing: this proves nothing")
			}
		})
	}
}
