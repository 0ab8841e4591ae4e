package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// screen shows what happens: redrawn in place on a terminal, as plain lines
// elsewhere.
type screen struct {
	out      io.Writer
	live     bool
	colour   bool
	width    func() int
	start    time.Time
	duration time.Duration
	slots    int

	mu        sync.Mutex
	phase     string
	decisions []decisionLine
	drawn     int // lines that stand on the terminal
}

// mostKept bounds the decisions that are kept for the picture.
const mostKept = 200

func (s *screen) elapsed() time.Duration { return time.Since(s.start) }

// announce says what the demo itself does.
func (s *screen) announce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = text
	if !s.live {
		fmt.Fprintf(s.out, "%5s demo: %s\n", clock(s.elapsed()), text)
	}
}

// event shows what the group did.
func (s *screen) event(e world.Event) {
	text := ""
	switch e := e.(type) {
	case world.InstanceChanged:
		text = fmt.Sprintf("%s %s → %s", short(e.ID), e.From, e.To)
	case world.CapacityChanged:
		text = fmt.Sprintf("desired capacity %d → %d", e.From, e.To)
	case world.InterruptionNoticed:
		text = fmt.Sprintf("%s spot interruption: EC2 takes it in %s", short(e.ID), time.Until(e.Deadline).Round(time.Second))
	case world.InstanceDead:
		text = fmt.Sprintf("%s is gone (%s)", short(e.ID), e.Reason)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" && !s.live {
		fmt.Fprintf(s.out, "%5s group: %s\n", clock(s.elapsed()), text)
	}
}

// logLine is a line of a Shoal process, as it writes them under a service manager.
type logLine struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Verb  string `json:"verb"`
	Why   string `json:"why"`
	Error string `json:"error"`
}

// line takes one line that a unit of an instance has written.
func (s *screen) line(instance, _, text string) {
	var l logLine
	if json.Unmarshal([]byte(text), &l) != nil || l.Verb == "" || l.Level == "DEBUG" {
		return // gitlab-runner's own words
	}
	parts := []string{l.Msg}
	for _, more := range []string{l.Why, l.Error} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	d := decisionLine{at: s.elapsed(), instance: instance, verb: l.Verb, level: l.Level, text: strings.Join(parts, ": ")}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decisions = last(append(s.decisions, d), mostKept)
	if !s.live {
		fmt.Fprintln(s.out, picture{}.decision(d))
	}
}

// draw draws the picture over the one before.
func (s *screen) draw(r world.Records) {
	if !s.live || len(r.Groups) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := picture{
		elapsed: s.elapsed(), duration: s.duration, phase: s.phase, slots: s.slots, records: r,
		decisions: s.decisions, colour: s.colour,
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	lines := p.lines(s.width())
	for _, l := range lines {
		b.WriteString("\x1b[2K" + l + "\n")
	}
	for range s.drawn - len(lines) { // the picture has become shorter
		b.WriteString("\x1b[2K\n")
	}
	s.drawn = max(s.drawn, len(lines))
	_, _ = io.WriteString(s.out, b.String()) // a terminal that is gone is no reason to stop
}
