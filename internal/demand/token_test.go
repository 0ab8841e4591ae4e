package demand

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// TestTokenIsGone: that the token's secret cannot be read says nothing of any project:
// the place is not asked once for each of them, and no job is dropped for it.
func TestTokenIsGone(t *testing.T) {
	for _, kind := range []fleet.FailureKind{fleet.NotFound, fleet.Denied, fleet.Temporary} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, scene{})
			defer s.end()
			var asked atomic.Int64
			var gone atomic.Bool
			s.service.Token = func(context.Context) (fleet.Token, error) {
				asked.Add(1)
				if gone.Load() {
					return fleet.Token{}, &fleet.Failure{Kind: kind, Op: "resolve secret", Message: "it is gone"}
				}
				return fleet.NewToken(apiToken), nil
			}
			for project := range int64(50) {
				s.hear(event(project+1, project+1, "pending", ""))
			}
			gone.Store(true)
			time.Sleep(6 * time.Minute) // a round, and not two
			if n := asked.Load(); n < 1 || n > 6 {
				t.Errorf("%s: the token was asked for %d times", kind, n)
			}
			if !strings.Contains(s.log.String(), "it is gone") {
				t.Errorf("%s: nobody says so: %s", kind, s.log)
			}
			if n := value(t, s, `shoal_webhook_jobs{group="ci",state="pending"}`); n != "50" {
				t.Errorf("%s: %s jobs are believed to wait", kind, n)
			}
		})
	}
}
