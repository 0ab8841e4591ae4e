package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/demand"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/secret"
)

const (
	oldSecret = "s3cr3t-0123456789-old"
	newSecret = "s3cr3t-0123456789-new"
)

// faulty is the real resolver, but for references that fail as nobody can have a file
// fail.
type faulty struct {
	*secret.Resolver
	faults map[string]error
}

func (f *faulty) Resolve(ctx context.Context, ref string) (fleet.Token, error) {
	if err := f.faults[ref]; err != nil {
		return fleet.Token{}, err
	}
	return f.Resolver.Resolve(ctx, ref)
}

// door is a webhook with two references to files.
type door struct {
	*hookSecrets
	t    *testing.T
	hook *demand.Service
	from *faulty
	log  bytes.Buffer
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, from: &faulty{Resolver: secret.New(secret.Options{}), faults: map[string]error{}}}
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	hook, err := demand.New(demand.Options{Groups: []fleet.JobGroup{{Name: "ci", Slots: 6, Any: true}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d.hook = hook
	d.hookSecrets = newHookSecrets([]string{"file:" + dir + "/one", "file:" + dir + "/two"}, d.from, hook.SetSecrets, log)
	return d
}

func (d *door) write(i int, content string) {
	d.t.Helper()
	if err := os.WriteFile(strings.TrimPrefix(d.refs[i], "file:"), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// open tells whether a request that shows the token gets past the door.
func (d *door) open(token string) bool {
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, "/hook", strings.NewReader("{}"))
	r.Header.Set("X-Gitlab-Token", token)
	r.Header.Set("X-Gitlab-Event", "Push Hook")
	w := httptest.NewRecorder()
	d.hook.Handler().ServeHTTP(w, r)
	return w.Code != http.StatusUnauthorized
}

func (d *door) check(old, fresh bool) {
	d.t.Helper()
	if got := d.open(oldSecret); got != old {
		d.t.Errorf("the old secret opens: %t, want %t", got, old)
	}
	if got := d.open(newSecret); got != fresh {
		d.t.Errorf("the new secret opens: %t, want %t", got, fresh)
	}
	if strings.Contains(d.log.String(), "s3cr3t") {
		d.t.Errorf("the log shows a secret: %s", d.log.String())
	}
}

// said checks the lines of one level since it was last asked.
func (d *door) said(level string, parts ...string) {
	d.t.Helper()
	for _, part := range parts {
		for line := range strings.Lines(d.log.String()) {
			if strings.Contains(line, "level="+level) && strings.Contains(line, part) {
				part = ""
				break
			}
		}
		if part != "" {
			d.t.Errorf("no line of %s with %q in: %s", level, part, d.log.String())
		}
	}
	d.log.Reset()
}

func (d *door) begins() {
	d.t.Helper()
	if err := d.begin(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// TestSecretIsReplaced: a leaked secret that was emptied is out, and the new one in,
// though the other reference fails.
func TestSecretIsReplaced(t *testing.T) {
	d := newDoor(t)
	d.write(0, oldSecret+"\n")
	d.begins()
	d.check(true, false)
	d.said("ERROR", "/two", "no such file")

	d.write(0, "")
	d.write(1, newSecret+"\n")
	d.renew(t.Context())
	d.check(false, true)
	d.said("ERROR", "/one", "the value is empty")
	d.renew(t.Context())
	if d.log.Len() > 0 {
		t.Errorf("said again: %s", d.log.String())
	}
}

// TestSecretStaysWhileItCannotBeRead, and only that one.
func TestSecretStaysWhileItCannotBeRead(t *testing.T) {
	d := newDoor(t)
	d.write(0, oldSecret)
	d.write(1, "s3cr3t-0123456789-other")
	d.begins()
	d.from.faults[d.refs[0]] = errors.New("no answer in time")
	d.write(1, newSecret)
	d.renew(t.Context())
	d.check(true, true)
	d.said("WARN", "/one", "no answer in time")
}

// TestSecretThatCouldNotBeReadAtTheStart is read again soon: the hooks that show it are
// refused, and GitLab disables them after four times.
func TestSecretThatCouldNotBeReadAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		d.write(0, oldSecret)
		d.write(1, newSecret)
		d.from.faults[d.refs[1]] = errors.New("no answer in time")
		d.begins()
		d.check(true, false)
		clear(d.from.faults)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.watch(ctx, nil); close(ended) }()
		time.Sleep(time.Minute)
		stop()
		<-ended
		d.check(true, true)
	})
}

// TestNoSecretIsLeft: nothing is accepted then, and nobody has to find that out; the
// next one that is written is.
func TestNoSecretIsLeft(t *testing.T) {
	d := newDoor(t)
	d.write(0, oldSecret)
	d.begins()
	for range 2 { // as long as it is so
		d.write(0, "")
		d.renew(t.Context())
		d.check(false, false)
		if d.open("") {
			t.Error("an empty secret opens")
		}
		d.said("ERROR", "no secret is left")
	}
	d.write(1, newSecret)
	d.renew(t.Context())
	d.check(false, true)
}

// TestStopKeepsTheSecrets: what a stop cuts short says nothing of them.
func TestStopKeepsTheSecrets(t *testing.T) {
	d := newDoor(t)
	d.write(0, oldSecret)
	d.begins()
	d.log.Reset()
	d.write(0, "")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	d.renew(ctx)
	d.check(true, false)
	if d.log.Len() > 0 {
		t.Errorf("said %s", d.log.String())
	}
}

// TestNoSecretAtTheStart is refused, or tried again where that may help.
func TestNoSecretAtTheStart(t *testing.T) {
	d := newDoor(t)
	code := func() life.ExitCode {
		var e *commandError
		if err := d.begin(t.Context()); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		return e.code
	}
	if got := code(); got != life.Refused {
		t.Errorf("got %d, want %d", got, life.Refused)
	}
	d.from.faults[d.refs[1]] = errors.New("no answer in time")
	if got := code(); got != life.TryAgain {
		t.Errorf("got %d, want %d", got, life.TryAgain)
	}
}

// TestSecretThatNoRequestCanShow is refused, not accepted in vain.
func TestSecretThatNoRequestCanShow(t *testing.T) {
	for _, content := range []string{" " + newSecret, newSecret + " \n", "    ", newSecret + "\u00a0"} {
		d := newDoor(t)
		d.write(0, oldSecret)
		d.write(1, content)
		d.begins()
		d.check(true, false)
		d.said("ERROR", "/two", "white space", "store it without")
	}
}

// TestShortSecretIsWarnedOf, and accepted.
func TestShortSecretIsWarnedOf(t *testing.T) {
	d := newDoor(t)
	d.write(0, "fifteen-letters")
	d.write(1, "sixteen-letters!")
	d.begins()
	if strings.Contains(d.log.String(), "/two") || strings.Contains(d.log.String(), "fifteen") || !d.open("fifteen-letters") {
		t.Errorf("said %s", d.log.String())
	}
	d.said("WARN", "/one", "fewer than 16 characters")
}
