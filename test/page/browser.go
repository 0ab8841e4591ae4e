package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/proto"
)

// patience is how long anything may take that a browser does.
const patience = time.Minute

// browser is a Chromium without a window, which reaches no network.
type browser struct {
	*rod.Browser

	cmd     *exec.Cmd
	profile string
}

// findChromium is where Debian and others put it.
func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium on the PATH (apt-get install chromium)")
}

// start runs one, with a profile and a process group of its own.
func start(ctx context.Context) (b *browser, err error) {
	path, err := findChromium()
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "shoal-chromium")
	if err != nil {
		return nil, err
	}
	b = &browser{profile: profile}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	b.cmd = exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--force-color-profile=srgb", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
		"--remote-debugging-port=0", "--user-data-dir="+profile, "about:blank")
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	says, err := b.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err = b.cmd.Start(); err != nil {
		return nil, err
	}
	address, err := listening(ctx, says)
	if err != nil {
		return nil, err
	}
	b.Browser = rod.New().ControlURL(address).Context(ctx)
	return b, b.Connect()
}

var listens = regexp.MustCompile(`^DevTools listening on (ws://\S+)`)

// listening waits for the address that a browser says it can be driven by, and then
// lets it say what it wants.
func listening(ctx context.Context, says io.Reader) (string, error) {
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			if m := listens.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, says)
	}()
	select {
	case address, ok := <-found:
		if !ok {
			return "", errors.New("chromium ended before it could be driven")
		}
		return address, nil
	case <-time.After(patience):
		return "", fmt.Errorf("chromium did not begin within %s", patience)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stop ends the browser with all of its processes, and removes what it wrote.
func (b *browser) stop() {
	if b.cmd != nil && b.cmd.Process != nil {
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		_ = b.cmd.Wait()
	}
	// One of its processes may be writing its last while it dies.
	for range 100 {
		if os.RemoveAll(b.profile) == nil {
			return
		}
	}
}

// screen is how a page is looked at.
type screen struct {
	name          string
	width, height int
	phone         bool
	dark          bool
	scale         float64 // device pixels for each of CSS; 0 is 1
}

// tab is a page that is open, and what was heard from it.
type tab struct {
	*rod.Page

	mu       sync.Mutex
	problems []string // what the console and the browser complained of
	asked    []string // the schemes and addresses of all requests
}

// open opens a file as a person does who double-clicks it.
func (b *browser) open(file string, s screen) (*tab, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	p, err := b.Page(proto.TargetCreateTarget{URL: "about:blank"})
	if err != nil {
		return nil, err
	}
	t := &tab{Page: p.Timeout(patience)}
	t.listen()
	err = errors.Join(
		proto.NetworkEnable{}.Call(t), proto.LogEnable{}.Call(t), proto.RuntimeEnable{}.Call(t),
		proto.EmulationSetDeviceMetricsOverride{Width: s.width, Height: s.height, DeviceScaleFactor: max(s.scale, 1), Mobile: s.phone}.Call(t),
		proto.EmulationSetEmulatedMedia{Features: []*proto.EmulationMediaFeature{{Name: "prefers-color-scheme", Value: s.scheme()}}}.Call(t),
	)
	if err != nil {
		return nil, err
	}
	if err := t.Navigate((&url.URL{Scheme: "file", Path: file}).String()); err != nil {
		return nil, err
	}
	if err := t.WaitLoad(); err != nil {
		return nil, err
	}
	return t, t.settled()
}

func (s screen) scheme() string {
	if s.dark {
		return "dark"
	}
	return "light"
}

// settled waits until what was asked for is on the screen: charts are drawn in a
// microtask, and boxes measured in the frame after.
func (t *tab) settled() error {
	_, err := t.Eval(`() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	return err
}

// listen hears the console, what the browser logs, and which requests there are.
func (t *tab) listen() {
	note := func(to *[]string, text string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		*to = append(*to, text)
	}
	wait := t.EachEvent(
		func(e *proto.RuntimeConsoleAPICalled) {
			if e.Type == proto.RuntimeConsoleAPICalledTypeError || e.Type == proto.RuntimeConsoleAPICalledTypeWarning {
				note(&t.problems, fmt.Sprintf("console.%s: %v", e.Type, e.Args))
			}
		},
		func(e *proto.RuntimeExceptionThrown) {
			note(&t.problems, "exception: "+e.ExceptionDetails.Text+" "+describe(e.ExceptionDetails))
		},
		func(e *proto.LogEntryAdded) {
			if e.Entry.Level == proto.LogLogEntryLevelError || e.Entry.Level == proto.LogLogEntryLevelWarning {
				note(&t.problems, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
			}
		},
		func(e *proto.NetworkRequestWillBeSent) { note(&t.asked, e.Request.URL) },
	)
	go wait()
}

func describe(d *proto.RuntimeExceptionDetails) string {
	if d.Exception == nil {
		return ""
	}
	return d.Exception.Description
}

// heard is what was complained of, and what was asked for.
func (t *tab) heard() (problems, asked []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.problems...), append([]string(nil), t.asked...)
}
