package boot_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// line is one line of an instance's journal; those of shoal itself are objects.
type line struct {
	at         time.Time
	unit       string // that it is of, or that systemd speaks of
	identifier string
	text       string

	Level, Msg, Verb, Why, Error string
	Exit                         *int
}

// entry is a line as journalctl has it. A text that is not valid UTF-8 is a list
// of numbers there.
type entry struct {
	Cursor     string          `json:"__CURSOR"`
	Time       string          `json:"__REALTIME_TIMESTAMP"`
	Unit       string          `json:"_SYSTEMD_UNIT"`
	About      string          `json:"UNIT"`
	Identifier string          `json:"SYSLOG_IDENTIFIER"`
	Message    json.RawMessage `json:"MESSAGE"`
}

// journal is the whole journal so far, of all boots. It is read from the
// machine's disk: a machine that is off has one too.
func (m *instance) journal() []line {
	m.mu.Lock()
	defer m.mu.Unlock()
	args := []string{"--directory", filepath.Join(m.dir, "upper/var/log/journal"), "--output", "json", "--no-pager", "--quiet"}
	if m.cursor != "" {
		args = append(args, "--after-cursor", m.cursor)
	}
	out, _ := exec.Command("journalctl", args...).Output() // nothing while there is no journal
	s := bufio.NewScanner(bytes.NewReader(out))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var e entry
		if json.Unmarshal(s.Bytes(), &e) == nil && e.Cursor != "" {
			m.lines, m.cursor = append(m.lines, e.line()), e.Cursor
		}
	}
	return m.lines[:len(m.lines):len(m.lines)]
}

func (e entry) line() line {
	l := line{unit: e.Unit, identifier: e.Identifier}
	if e.About != "" {
		l.unit = e.About
	}
	var micros int64
	_, _ = fmt.Sscan(e.Time, &micros)
	l.at = time.UnixMicro(micros)
	if json.Unmarshal(e.Message, &l.text) != nil {
		l.text = string(e.Message)
	}
	_ = json.Unmarshal([]byte(l.text), &l) // what is no object has its text
	return l
}

// words are what a line says to a person.
func (l line) words() string {
	if l.Verb == "" {
		return l.unit + " " + l.text
	}
	return strings.Join([]string{l.unit, l.Level, l.Verb, l.Msg, l.Why, l.Error}, " ")
}

// said are the lines that hold all of the words.
func (m *instance) said(words ...string) (found []line) {
	for _, l := range m.journal() {
		if holds(l.words(), words) {
			found = append(found, l)
		}
	}
	return found
}

func holds(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// story is the journal of Shoal's and GitLab's units for people.
func (m *instance) story() string {
	var b strings.Builder
	for _, l := range m.journal() {
		if l.unit == "" || strings.HasPrefix(l.unit, "systemd-") || !strings.HasSuffix(l.unit, ".service") {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s\n", l.at.Format("15:04:05.000"), m.id, l.words())
	}
	return b.String()
}
