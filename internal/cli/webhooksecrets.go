package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/reap"
)

// secretsEvery is how often the secrets are read anew: one that was changed is known
// within this.
const secretsEvery = 5 * time.Minute

// shortSecret is the length below which a secret can be guessed by trying: it is
// accepted, and warned of.
const shortSecret = 16

// hookSecrets are the secrets that a request may show, each by the reference that it
// comes from: that one cannot be read must neither keep a leaked one in force nor a
// new one out.
type hookSecrets struct {
	refs   []string
	from   reap.Secrets
	accept func([]fleet.Token)
	log    *slog.Logger

	known map[string]fleet.Token // what is accepted, by reference
	told  map[string]string      // the last line about a reference: no need to repeat it
	lacks bool                   // one that may be there could not be read, and nothing is known of it
}

func newHookSecrets(refs []string, from reap.Secrets, accept func([]fleet.Token), log *slog.Logger) *hookSecrets {
	return &hookSecrets{refs: refs, from: from, accept: accept, log: log.With("verb", "webhook"), known: map[string]fleet.Token{}, told: map[string]string{}}
}

// reading is what came of one reference.
type reading struct {
	ref   string
	token fleet.Token
	err   error
}

// begin reads the secrets for the first time. It fails only when there is none.
func (h *hookSecrets) begin(ctx context.Context) error {
	list := h.read(ctx)
	next := h.next(list)
	if len(next) == 0 {
		return secretsFailed(list)
	}
	h.tell(ctx, list)
	h.take(next)
	h.lacks = h.misses(list)
	return nil
}

// watch renews the secrets from time to time, and when it is told to.
func (h *hookSecrets) watch(ctx context.Context, now <-chan os.Signal) {
	next := time.NewTimer(h.pause())
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
			clear(h.told) // whoever asks wants to hear what is still wrong
		case <-next.C:
		}
		h.renew(ctx)
		next.Reset(h.pause())
	}
}

// pause is how long until the secrets are read anew: not long where hooks that show one
// are refused meanwhile.
func (h *hookSecrets) pause() time.Duration {
	if h.lacks {
		return tokenAgain
	}
	return secretsEvery
}

func (h *hookSecrets) renew(ctx context.Context) {
	list := h.read(ctx)
	if ctx.Err() != nil { // a stop, which says nothing of the secrets
		return
	}
	h.tell(ctx, list)
	if next := h.next(list); !maps.Equal(next, h.known) {
		h.take(next)
		h.log.Info("the secrets have changed", slog.Int("secrets", len(next)))
	}
	h.lacks = h.misses(list)
	if len(h.known) == 0 {
		h.log.Error("no secret is left: every event is refused", "error", "none of webhook.secrets has one: write one there, and reload; restart where systemd passes it in")
	}
}

func (h *hookSecrets) read(ctx context.Context) []reading {
	var list []reading
	for _, ref := range h.refs {
		t, err := h.from.Resolve(ctx, ref)
		if err == nil {
			err = checkHookSecret(ref, t)
		}
		list = append(list, reading{ref, t, err})
	}
	return list
}

// next are the secrets that hold from now on. One that cannot be read for a while
// stays; one that is gone, empty or refused was taken away, perhaps for a leak.
func (h *hookSecrets) next(list []reading) map[string]fleet.Token {
	next := map[string]fleet.Token{}
	for _, r := range list {
		if r.err == nil {
			next[r.ref] = r.token
		} else if h.keeps(r) {
			next[r.ref] = h.known[r.ref]
		}
	}
	return next
}

// keeps tells whether a reference's earlier secret stands in for what failed.
func (h *hookSecrets) keeps(r reading) bool {
	_, known := h.known[r.ref]
	return known && !fleet.AsFailure("read webhook.secrets", r.err).Final()
}

// misses tells whether trying again soon may bring a secret that is not known.
func (h *hookSecrets) misses(list []reading) bool {
	return slices.ContainsFunc(list, func(r reading) bool {
		return r.err != nil && !h.keeps(r) && !fleet.AsFailure("read webhook.secrets", r.err).Final()
	})
}

func (h *hookSecrets) take(next map[string]fleet.Token) {
	h.known = next
	var list []fleet.Token
	for _, ref := range h.refs {
		if t, ok := next[ref]; ok {
			list = append(list, t)
		}
	}
	h.accept(list)
}

// tell says what is wrong with each reference, once.
func (h *hookSecrets) tell(ctx context.Context, list []reading) {
	for _, r := range list {
		level, message, why := h.verdict(r)
		if line := message + why; line != h.told[r.ref] && message != "" {
			h.log.Log(ctx, level, message, "error", why)
		}
		h.told[r.ref] = message + why
	}
}

// verdict is what a person has to know of a reference; no message for nothing.
func (h *hookSecrets) verdict(r reading) (level slog.Level, message, why string) {
	switch {
	case r.err != nil && h.keeps(r):
		return slog.LevelWarn, fmt.Sprintf("keeping the secret that is known of %q", r.ref), r.err.Error()
	case r.err != nil:
		return slog.LevelError, fmt.Sprintf("no secret is accepted from %q", r.ref), r.err.Error()
	case utf8.RuneCountInString(r.token.Reveal()) < shortSecret:
		return slog.LevelWarn, fmt.Sprintf("the secret of %q is short", r.ref),
			fmt.Sprintf("it has fewer than %d characters, and can be guessed: replace it by what \"openssl rand -hex 24\" prints", shortSecret)
	}
	return slog.LevelInfo, "", ""
}

// checkHookSecret refuses what no request can show: HTTP takes white space off both
// ends of a header's value. Of a reference's last newline the resolver has taken care.
func checkHookSecret(ref string, t fleet.Token) error {
	if v := t.Reveal(); strings.TrimSpace(v) == v {
		return nil
	}
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: fmt.Sprintf("resolve secret %q", ref), Message: "the value begins or ends with white space, which no request can carry",
		Mend: "store it without, and put the same text into the hook in GitLab",
	}
}

// secretsFailed is why there is nothing to compare requests with. Where one of the
// references may work later, it is worth trying again.
func secretsFailed(list []reading) error {
	code := life.Refused
	var all []error
	for _, r := range list {
		all = append(all, r.err)
		if f := fleet.AsFailure("read webhook.secrets", r.err); !f.Final() {
			code = life.TryAgain
		}
	}
	return &commandError{code: code, err: fmt.Errorf("webhook.secrets: %w", errors.Join(all...))}
}
