package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of test2json.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // of a build's output
}

// tally is what was seen so far.
type tally struct {
	options
	said                    map[string][]string // output of tests and packages that have not ended
	passed, failed, skipped int
	broken                  []string // packages that failed without a failing test
	failedIn                map[string]bool
}

func newTally(o options) *tally {
	return &tally{options: o, said: map[string][]string{}, failedIn: map[string]bool{}}
}

// longestLine bounds one event: a test may print a page on one line.
const longestLine = 16 << 20

func (t *tally) read(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, longestLine)
	for s.Scan() {
		var e event
		if json.Unmarshal(s.Bytes(), &e) != nil {
			t.print(s.Text() + "\n") // the go command's own words
			continue
		}
		t.take(e)
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read test events: %w", err)
	}
	return nil
}

func (t *tally) take(e event) {
	id := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		t.print(e.Output)
	case "output":
		t.said[id] = append(t.said[id], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			t.test(e, t.said[id])
		} else {
			t.pkg(e, t.said[id])
		}
		delete(t.said, id)
	}
}

// test counts a test that ended. Only what failed or was left out is shown.
func (t *tally) test(e event, said []string) {
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		t.failedIn[e.Package] = true
		t.print(strings.Join(said, ""))
	case "skip":
		t.skipped++
		t.leftOut = append(t.leftOut, fmt.Sprintf("%s in %s: %s", e.Test, e.Package, reason(said)))
	}
}

// pkg shows a package's last line, or all it said if it failed.
func (t *tally) pkg(e event, said []string) {
	if e.Action == "fail" {
		if !t.failedIn[e.Package] { // a panic, a leak, or it did not build
			t.broken = append(t.broken, e.Package)
			t.failed++
		}
		t.print(strings.Join(said, ""))
		return
	}
	for _, line := range said {
		if strings.HasPrefix(line, "ok  \t") {
			line, _, _ = strings.Cut(line, "\tcoverage:") // of all gated packages together: says nothing
			t.print(strings.TrimRight(line, "\n") + "\n")
		}
	}
}

// place is where a skipped test says its reason: "    file_test.go:12: reason".
var place = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

func reason(said []string) string {
	var why []string
	for _, line := range said {
		if m := place.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			why = append(why, m[1])
		}
	}
	if len(why) == 0 {
		return "no reason given"
	}
	return strings.Join(why, " ")
}

// close says what is left to say, and returns the exit code.
func (t *tally) close() int {
	bad := slices.Concat(t.uncovered(), t.missed())
	for _, p := range t.broken {
		bad = append(bad, p+" failed outside its tests")
	}
	for _, line := range bad {
		t.print("FAIL: " + line + "\n")
	}
	t.print(fmt.Sprintf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped))
	if t.failed > 0 || len(bad) > 0 || t.passed == 0 {
		return 1
	}
	return 0
}

// uncovered lists the gated packages with too little coverage.
func (t *tally) uncovered() []string {
	if len(t.gate) == 0 {
		return nil
	}
	measured, err := t.measured()
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	for _, name := range t.gate {
		c, found := measured.percent(name)
		t.print(fmt.Sprintf("coverage of %s: %.1f %%\n", name, c))
		switch {
		case !found:
			bad = append(bad, "no coverage of "+name+" was measured")
		case c < t.least:
			bad = append(bad, fmt.Sprintf("coverage of %s is %.1f %%, and must be at least %.0f %%", name, c, t.least))
		}
	}
	return bad
}

func (t *tally) measured() (coverage, error) {
	f, err := os.Open(t.profile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCoverage(f)
}

// missed shows what was left out, and lists what must not be.
func (t *tally) missed() []string {
	if len(t.leftOut) == 0 {
		return nil
	}
	var bad []string
	t.print("\n*** LEFT OUT on this machine:\n")
	for _, what := range t.leftOut {
		t.print("***   " + what + "\n")
		if t.strict && !t.may.MatchString(what) {
			bad = append(bad, "left out where nothing may be: "+what)
		}
	}
	return bad
}

// print shows a line; there is nobody to tell if that fails.
func (t *tally) print(s string) { _, _ = io.WriteString(t.out, s) }
