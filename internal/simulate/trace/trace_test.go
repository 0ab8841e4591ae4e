package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		start time.Time
		want  []trace.Job
	}{
		"seconds": {
			"created_at,duration\n5,60\n0,1.5\n", trace.Monday,
			[]trace.Job{{Created: 0, Duration: 1500 * time.Millisecond}, {Created: 5 * time.Second, Duration: time.Minute}},
		},
		"times": {
			"duration,created_at\n60,2026-03-01T08:00:10Z\n30,2026-03-01T09:00:00+01:00\n", time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC),
			[]trace.Job{{Created: 0, Duration: 30 * time.Second}, {Created: 10 * time.Second, Duration: time.Minute}},
		},
		"pipelines": {
			"\ufeffcreated_at,duration,pipeline,stage\n0,1,a,0\n0,2,b,1\n0,3,a,2\n0,4,,\n", trace.Monday,
			[]trace.Job{
				{Duration: time.Second, Pipeline: 1},
				{Duration: 2 * time.Second, Pipeline: 2, Stage: 1},
				{Duration: 3 * time.Second, Pipeline: 1, Stage: 2},
				{Duration: 4 * time.Second},
			},
		},
		"quoted, with the other line ends": {
			"created_at,duration,pipeline\r\n\"0\",\"1\",\"a,b\"\r\n", trace.Monday,
			[]trace.Job{{Duration: time.Second, Pipeline: 1}},
		},
	} {
		got, err := trace.Read(strings.NewReader(c.text))
		if err != nil || !got.Start.Equal(c.start) || fmt.Sprint(got.Jobs) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v %v, %v; want %v %v", name, got.Start, got.Jobs, err, c.start, c.want)
		}
	}
}

func TestWhatReallyHappened(t *testing.T) {
	const head = "created_at,duration,waited,runner,name\n"
	for text, want := range map[string]struct {
		real bool
		jobs []trace.Job
	}{
		head + "5,60,2.5,r9,n1\n0,30,0,r8,n1\n": {true, []trace.Job{
			{Created: 0, Duration: 30 * time.Second, Runner: 2, Name: 1},
			{Created: 5 * time.Second, Duration: time.Minute, Waited: 2500 * time.Millisecond, Runner: 1, Name: 1},
		}},
		head + "0,1,7,,\n0,1,,r,\n": {false, []trace.Job{ // one wait that nobody knows
			{Duration: time.Second, Waited: 7 * time.Second},
			{Duration: time.Second, Runner: 1},
		}},
		"created_at,duration,runner\n0,1,r\n": {false, []trace.Job{{Duration: time.Second, Runner: 1}}},
	} {
		got, err := trace.Read(strings.NewReader(text))
		if err != nil || got.Real != want.real || fmt.Sprint(got.Jobs) != fmt.Sprint(want.jobs) {
			t.Errorf("%q: real %v, %v, %v; want %v, %v", text, got.Real, got.Jobs, err, want.real, want.jobs)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const head = "created_at,duration,pipeline,stage\n"
	for text, want := range map[string]string{
		"":                               "line 1: empty",
		head:                             "line 2: no job",
		"created_at\n1\n":                `line 1: no column "duration"`,
		"duration\n1\n":                  `line 1: no column "created_at"`,
		"created_at,duration,colour\n":   `line 1: unknown column "colour"; allowed are`,
		"created_at,duration,duration\n": `line 1: column "duration" twice`,
		"created_at,duration,stage\n":    `line 1: column "stage" without "pipeline"`,
		head + "0,1,a,0\n-1,1,a,0\n":     `line 3: created_at is "-1"; allowed: seconds`,
		head + "0,1,a,0\nNaN,1,a,0\n":    `line 3: created_at is "NaN"`,
		head + "0,1,a,0\n1e300,1,a,0\n":  `line 3: created_at`,
		head + "0,Inf,a,0\n":             `line 2: duration is "Inf"; allowed: seconds from 0 to 2592000`,
		head + "0,,a,0\n":                `line 2: duration is ""`,
		head + "0,1,a,x\n":               `line 2: stage is "x"; allowed: a whole number`,
		head + "0,1,a,-1\n":              `line 2: stage is "-1"`,
		head + "0,1,,3\n":                `line 2: stage is "3"; allowed: 0 or nothing`,
		head + "0,1,a\n":                 `line 2: 3 columns; the first line names 4`,
		"created_at,duration,waited\n0,1,0\n0,1,-2\n":                      `line 3: waited is "-2"; allowed: seconds from 0 to 2592000, or nothing`,
		"created_at,duration,name\n0,1," + strings.Repeat("x", 300) + "\n": `line 2: name is`,
		head + "0,1,\"a,0\n":                                              `line 2: extraneous or missing " in quoted-field`,
		head + "2026-03-01T08:00:00Z,1,a,0\n5,1,a,0\n":                    `line 3: created_at is "5"; allowed: a time as in RFC 3339`,
		head + "0,1,a,0\n2026-03-01T08:00:00Z,1,a,0\n":                    `line 3: created_at is "2026-03-01T08:00:00Z"; allowed: seconds`,
		head + "1980-03-01T08:00:00Z,1,a,0\n2026-03-01T08:00:00Z,1,a,0\n": "line 3: created_at is more than ten years from that of line 2",
		head + "9998-03-01T08:00:00Z,1,a,0\n1971-03-01T08:00:00Z,1,a,0\n": "line 3: created_at is more than ten years from that of line 2",
		head + "0,1," + strings.Repeat("x", 300) + ",0\n":                 `line 2: pipeline is "` + strings.Repeat("x", 40) + "…",
	} {
		if _, err := trace.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("created_at,duration\n0,1\n")
	f.Add("created_at,duration,pipeline,stage\n2026-03-01T08:00:00Z,1,a,0\n")
	f.Add("stage,pipeline,duration,created_at\n0,a,1,1e3\n")
	f.Add("created_at,duration,waited,runner,name\n0,1,2,r,n\n")
	f.Add("\n\ncreated_at,duration\r\n9998-01-01T00:00:00Z,1\n\r\n9990-01-01T00:00:00+23:59,2")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := trace.Read(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read trace: ") {
				t.Errorf("an error without its operation: %v", err)
			}
			return
		}
		if n := jobLines(text); !strings.Contains(text, `"`) && len(got.Jobs) != n {
			t.Fatalf("%d jobs of %d lines", len(got.Jobs), n)
		}
		var last time.Duration
		for _, j := range got.Jobs {
			if j.Created < last || j.Created > trace.MaxSpan || j.Duration < 0 || j.Duration > trace.MaxDuration ||
				j.Stage < 0 || j.Stage > trace.MaxStage || j.Pipeline < 0 || j.Pipeline > len(got.Jobs) || j.Pipeline == 0 && j.Stage > 0 ||
				j.Waited < 0 || j.Waited > trace.MaxDuration || j.Runner < 0 || j.Runner > len(got.Jobs) || j.Name < 0 || j.Name > len(got.Jobs) {
				t.Fatalf("out of bounds, or out of order: %+v", j)
			}
			last = j.Created
		}
	})
}

// jobLines counts the lines behind the first one that are not blank.
func jobLines(text string) int {
	n := -1
	for line := range strings.Lines(text) {
		if strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") != "" {
			n++
		}
	}
	return n
}
