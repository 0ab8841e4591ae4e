package autoscaling

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// silent takes a request and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestCallsAreBounded(t *testing.T) {
	cleanEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &http.Client{Transport: silent{}})
		start := time.Now()
		_, err := c.Group(t.Context(), "ci")
		if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Temporary || f.Message != "no answer in time" {
			t.Errorf("got %v, want a Temporary failure", err)
		}
		if took := time.Since(start); took != callTimeout {
			t.Errorf("took %s, want %s", took, callTimeout)
		}
	})
}
