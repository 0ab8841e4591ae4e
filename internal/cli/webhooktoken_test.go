package cli

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/secret"
)

// TestTokenStaysWhileItCannotBeRead: that AWS does not answer is no reason to leave
// GitLab unasked; that the token was taken away is.
func TestTokenStaysWhileItCannotBeRead(t *testing.T) {
	path := t.TempDir() + "/token"
	write := func(value string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		from := &faulty{Resolver: secret.New(secret.Options{}), faults: map[string]error{}}
		c := &cachedToken{secrets: from, ref: "file:" + path}
		check := func(want string) {
			t.Helper()
			got, err := c.get(t.Context())
			if want == "" {
				if err == nil || !got.IsZero() {
					t.Errorf("got a token, %v", err)
				}
				return
			}
			if err != nil || got.Reveal() != want {
				t.Errorf("got another one, or none: %v", err)
			}
		}
		from.faults[c.ref] = errors.New("no answer in time")
		check("")
		delete(from.faults, c.ref)
		write("first")
		check("first")
		from.faults[c.ref] = errors.New("no answer in time")
		time.Sleep(time.Hour)
		check("first")
		delete(from.faults, c.ref)
		write("second")
		time.Sleep(time.Minute)
		check("second")
		from.faults[c.ref] = &fleet.Failure{Kind: fleet.NotFound, Op: "resolve"}
		time.Sleep(time.Hour)
		check("")
	})
}
