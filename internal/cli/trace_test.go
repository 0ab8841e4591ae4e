package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/history"
)

func TestWhen(t *testing.T) {
	now := time.Date(2026, 3, 30, 12, 0, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2026-03-02":           "2026-03-02T00:00:00+01:00",
		"2026-03-02T08:00:00Z": "2026-03-02T08:00:00Z",
		"28d":                  "2026-03-02T12:00:00+01:00",
		"2w":                   "2026-03-16T12:00:00+01:00",
		"36h":                  "2026-03-29T00:00:00+01:00",
		"90m":                  "2026-03-30T10:30:00+01:00",
		"0s":                   "2026-03-30T12:00:00+01:00",
		"-1d":                  "", "d": "", "1.5d": "", "-3h": "", "": "", "99999999d": "", "last week": "", "2026-02-30": "",
	} {
		got, err := when(text, now)
		if said := got.Format(time.RFC3339); want == "" && (err == nil || !strings.Contains(err.Error(), "is no time")) || want != "" && (err != nil || said != want) {
			t.Errorf("%q: got %s, %v; want %q", text, said, err, want)
		}
	}
}

func TestExportLine(t *testing.T) {
	p := history.Progress{Jobs: 1200, Pages: 12, Project: 2, Projects: 14, At: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Waiting: 2600 * time.Millisecond, Share: 0.5}
	const want = "[##########..........] 1200 jobs, 12 pages, project 2 of 14, back to 2026-03-02 08:00, waiting 3s"
	if got := exportLine(p, 200); got != want {
		t.Errorf("got %q", got)
	}
	if got := exportLine(p, 40); got != want[:39] {
		t.Errorf("on a narrow terminal: %q", got)
	}
	if got := exportLine(history.Progress{Share: 1}, 80); got != "[####################] 0 jobs, 0 pages" {
		t.Errorf("got %q", got)
	}
}

// TestTellerInALog: a line a minute, and nothing that is drawn.
func TestTellerInALog(t *testing.T) {
	var out bytes.Buffer
	say := newTeller(&out, config.Log{Level: "info", Format: "auto"})
	say.progress(history.Progress{Jobs: 1})
	if out.Len() > 0 {
		t.Errorf("at once: %q", out.String())
	}
	say.told = say.told.Add(-tellEvery)
	say.progress(history.Progress{Jobs: 2})
	say.progress(history.Progress{Jobs: 3})
	say.log.Warn("trying again")
	say.end()
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"msg":"exporting","jobs":2`) || strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}
