package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

func TestCut(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", ""},
		{"short", "short"},
		{"exactly 10", "exactly 10"},
		{"one more 10", "one more …" + reset},
		{"terminatem", "terminatem"},
		{"terminate at", "terminate…" + reset},
		{"mmmmmmmmmmmm", "mmmmmmmmm…" + reset},
		{"→→→→→→→→→→→", "→→→→→→→→→…" + reset},
		{red + "exactly 10" + reset, red + "exactly 10" + reset},
		{red + "one more 10" + reset, red + "one more …" + reset},
	} {
		if got := cut(c.line, 10); got != c.want {
			t.Errorf("cut(%q, 10) = %q, want %q", c.line, got, c.want)
		}
	}
}

// plain takes the colours out of a line.
func plain(line string) string {
	for _, code := range []string{bold, dim, red, green, yellow, reset} {
		line = strings.ReplaceAll(line, code, "")
	}
	return line
}

func TestPictureFitsTheTerminal(t *testing.T) {
	records := fleetRecords()
	for _, width := range []int{40, 80, 200} {
		p := picture{
			elapsed: 42 * time.Second, duration: 90 * time.Second, phase: "a burst", slots: 2, records: records, colour: true,
			decisions: []decisionLine{{at: time.Second, instance: "i-0123456789abcdef0", verb: "monitor", text: strings.Repeat("m", 300), level: "WARN"}},
		}
		for _, line := range p.lines(width) {
			if n := utf8.RuneCountInString(plain(line)); n > width {
				t.Errorf("a line of %d columns on a terminal of %d: %q", n, width, line)
			}
		}
	}
}

func TestPictureShowsTheFleet(t *testing.T) {
	p := picture{elapsed: 42 * time.Second, duration: 90 * time.Second, phase: "a burst", slots: 2, records: fleetRecords()}
	text := strings.Join(p.lines(200), "\n")
	for _, want := range []string{
		"0:42 of about 1:30   a burst",
		"desired 2  min 1  max 6   jobs: 1 done, 1 running, 1 waiting ▪",
		"i-0aaaaaaaaaaaaaaaa   InService          ■□    protected",
		"i-0bbbbbbbbbbbbbbbb   Terminating:Wait   □□    spot interruption, user request",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("colours where none were asked for:\n%q", text)
	}
}

// fleetRecords are two instances, one busy and one that EC2 takes.
func fleetRecords() world.Records {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const a, b = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
	return world.Records{
		At: now,
		Groups: []world.GroupView{{Name: "demo", Min: 1, Max: 6, Desired: 2, Instances: []world.InstanceView{
			{ID: a, State: world.InService, Protected: true}, {ID: b, State: world.TerminatingWait},
		}}},
		Instances: []world.InstanceRecord{
			{ID: a, State: world.InService, InServiceAt: now.Add(-time.Minute)},
			{ID: b, State: world.TerminatingWait, InServiceAt: now.Add(-time.Minute), LeavingAt: now, Reason: world.ReasonUser, SpotNoticeAt: now},
		},
		Jobs: []world.Job{
			{ID: 1, Status: world.JobSuccess, SystemID: life.SystemID(a)},
			{ID: 2, Status: world.JobRunning, SystemID: life.SystemID(a)},
			{ID: 3, Status: world.JobPending},
		},
	}
}
