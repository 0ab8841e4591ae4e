package trace_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// endless repeats a text for ever, and counts what was read of it.
type endless struct {
	text string
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[(e.read+int64(i))%int64(len(e.text))]
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestLinesAreBounded(t *testing.T) {
	const head = "created_at,duration,pipeline\n0,1,a\n"
	for name, c := range map[string]struct {
		begin, more, want string
	}{
		"a first line without end":        {"", "x", "line 1: longer than 65536 bytes"},
		"a line without end":              {head + "1,2,", "y", "line 3: longer than 65536 bytes"},
		"zeros":                           {head, "\x00", "line 3: longer than 65536 bytes"},
		"a quote that never ends":         {head + "\n1,2,\"", "y\n", "line 4: longer than 65536 bytes; does a quote begin there"},
		"a quote without end on one line": {head + "1,2,\"", "y", "line 3: longer than 65536 bytes"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rest := &endless{text: c.more}
		_, err := trace.Read(io.MultiReader(strings.NewReader(c.begin), rest))
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; rest.read > 10*trace.MaxLine || used > 20*trace.MaxLine {
			t.Errorf("%s: read %d bytes and allocated %d to refuse it", name, rest.read, used)
		}
	}
}

// TestBlankLines: they are no job, however many, and jobs behind them keep their line.
func TestBlankLines(t *testing.T) {
	text := "created_at,duration\n" + strings.Repeat("\r\n", trace.MaxLine) + "0,1\n\n\n0,x\n"
	_, err := trace.Read(strings.NewReader(text))
	want := fmt.Sprintf("line %d: duration is \"x\"", trace.MaxLine+5)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestNothingLost: each job of a file comes out, whatever the order and the ends of
// lines.
func TestNothingLost(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		for n := 1; n < 10_000; n = n*3 + 1 {
			var b strings.Builder
			b.WriteString("created_at,duration" + end)
			for i := range n {
				fmt.Fprintf(&b, "%d,%d", (i*7919)%n, i)
				if i < n-1 {
					b.WriteString(end) // the last line has none
				}
			}
			got, err := trace.Read(strings.NewReader(b.String()))
			if err != nil || len(got.Jobs) != n || got.Work() != time.Duration(n*(n-1)/2)*time.Second {
				t.Errorf("%d lines ending in %q: %d jobs, %s, %v", n, end, len(got.Jobs), got.Work(), err)
			}
		}
	}
}

// TestTooManyJobs: the first one too many is refused, and the others took no more memory
// than they need.
func TestTooManyJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("reads five million lines")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rest := &endless{text: "0,1,p\n"}
	_, err := trace.Read(io.MultiReader(strings.NewReader("created_at,duration,pipeline\n"), rest))
	runtime.ReadMemStats(&after)
	want := fmt.Sprintf("line %d: more than %d jobs", trace.MaxJobs+2, trace.MaxJobs)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if used := after.TotalAlloc - before.TotalAlloc; rest.read > int64(6*trace.MaxJobs)+2*trace.MaxLine || used > 128*trace.MaxJobs {
		t.Errorf("read %d bytes and allocated %d to refuse it", rest.read, used)
	}
}
