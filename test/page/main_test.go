package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-rod/rod/lib/proto"
)

// axe is axe-core, which knows what makes a page hard to use (testdata/axe/LICENSE).
//
//go:embed testdata/axe/axe.min.js
var axe string

// What all tests share: the program, a browser, and the pages that they look at.
var shared struct {
	dir     string
	browser *browser
	once    sync.Once
	err     error
}

func TestMain(m *testing.M) {
	shared.dir, shared.err = os.MkdirTemp("", "shoal-page")
	code := m.Run()
	if shared.browser != nil {
		shared.browser.stop()
	}
	_ = os.RemoveAll(shared.dir)
	os.Exit(code)
}

// chromium is the browser of all tests; a test is left out where there is none.
func chromium(t *testing.T) *browser {
	t.Helper()
	if _, err := findChromium(); err != nil {
		t.Skipf("SKIPPED: %v, so nobody looks at the page as people do", err)
	}
	shared.once.Do(func() {
		if shared.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(shared.dir, "shoal"), "../../cmd/shoal")
		if out, err := build.CombinedOutput(); err != nil {
			shared.err = fmt.Errorf("%w: %s", err, out)
			return
		}
		if shared.browser, shared.err = start(context.Background()); shared.err != nil {
			return
		}
		shared.err = makePages(shared.dir)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.browser
}

// specs are the policies of the pages.
var specs = []string{"shoal", "original", "taskscaler", "shoal:spares=6,spares_hold=600s", "oracle"}

// makePages makes simulate.html by the program, of a file with a name that wants to
// break out, and tune.html of what a search might say.
func makePages(dir string) error {
	text, err := os.ReadFile("../../docs/traces/monorepo-week.csv")
	if err != nil {
		return err
	}
	odd := filepath.Join(dir, `odd & <img src=x onerror=alert(1)> "'.csv`)
	if err := os.WriteFile(odd, text, 0o600); err != nil {
		return err
	}
	if err := simulate(dir, odd, "simulate.html", specs); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "tune.html"))
	if err != nil {
		return err
	}
	defer f.Close()
	return advice(1).Write(f)
}

func simulate(dir, trace, to string, policies []string) error {
	args := []string{"simulate", "--trace", trace, "--seeds", "1", "--max", "600", "--html", filepath.Join(dir, to)}
	for _, s := range policies {
		args = append(args, "--policy", s)
	}
	if out, err := exec.Command(filepath.Join(dir, "shoal"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// look opens a page, which is closed with the test.
func look(t *testing.T, file string, s screen) *tab {
	t.Helper()
	b := chromium(t)
	p, err := b.open(filepath.Join(shared.dir, file), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// ask evaluates a function in the page.
func ask[T any](t *testing.T, p *tab, js string, args ...any) T {
	t.Helper()
	var out T
	got, err := p.Eval(js, args...)
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	text, err := json.Marshal(got.Value)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return out
}

// box scrolls a chart into sight and tells where its drawing area is.
func box(t *testing.T, p *tab, id string) (at, size point) {
	t.Helper()
	at, size, err := p.box(id)
	if err != nil {
		t.Fatal(err)
	}
	return at, size
}

func settle(t *testing.T, p *tab) {
	t.Helper()
	if err := p.settled(); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, p *tab, to point) {
	t.Helper()
	if err := p.move(to); err != nil {
		t.Fatal(err)
	}
}

func drag(t *testing.T, p *tab, from, to point) {
	t.Helper()
	if err := p.drag(from, to); err != nil {
		t.Fatal(err)
	}
}

func doubleClick(t *testing.T, p *tab, at point) {
	t.Helper()
	move(t, p, at)
	for n := 1; n <= 2; n++ {
		err := errors.Join(p.mouse(proto.InputDispatchMouseEventTypeMousePressed, at, true, n), p.mouse(proto.InputDispatchMouseEventTypeMouseReleased, at, true, n))
		if err != nil {
			t.Fatal(err)
		}
	}
	settle(t, p)
}

func press(t *testing.T, p *tab, key string) {
	t.Helper()
	for _, what := range []proto.InputDispatchKeyEventType{proto.InputDispatchKeyEventTypeKeyDown, proto.InputDispatchKeyEventTypeKeyUp} {
		if err := (proto.InputDispatchKeyEvent{Type: what, Key: key}).Call(p); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, p)
}
