package trace

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Row is one job of a trace that is written, with everything that a trace can say.
type Row struct {
	Created  time.Time // written to the second
	Duration time.Duration
	Pipeline int // 0: none, and then no stage either
	Stage    int
	Waited   time.Duration
	Runner   string // empty: unknown
	Name     string // empty: unknown
}

// Writer writes a trace row by row. What it writes Read reads.
type Writer struct {
	out  *csv.Writer
	line int
}

// NewWriter begins a trace. The rows come out at Flush at the latest.
func NewWriter(to io.Writer) (*Writer, error) {
	w := &Writer{out: csv.NewWriter(bufio.NewWriterSize(to, 64<<10)), line: 1}
	if err := w.out.Write(names[:]); err != nil {
		return nil, fmt.Errorf("write trace: %w", err)
	}
	return w, nil
}

// Write writes one row, or refuses one that Read would.
func (w *Writer) Write(r Row) error {
	w.line++
	if err := w.check(r); err != nil {
		return fmt.Errorf("write trace: line %d: %w", w.line, err)
	}
	pipeline, stage := "", ""
	if r.Pipeline > 0 {
		pipeline, stage = strconv.Itoa(r.Pipeline), strconv.Itoa(r.Stage)
	}
	record := [columns]string{
		r.Created.UTC().Format(time.RFC3339), decimal(r.Duration), pipeline, stage, decimal(r.Waited), r.Runner, r.Name,
	}
	if err := w.out.Write(record[:]); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

func (w *Writer) check(r Row) error {
	switch {
	case w.line > MaxJobs+1:
		return fmt.Errorf("more than %d jobs", MaxJobs)
	case r.Created.Year() < firstYear || r.Created.Year() > lastYear:
		return fmt.Errorf("created in %d", r.Created.Year())
	case r.Duration < 0 || r.Duration > MaxDuration:
		return fmt.Errorf("a duration of %s", r.Duration)
	case r.Waited < 0 || r.Waited > MaxDuration:
		return fmt.Errorf("a wait of %s", r.Waited)
	case r.Pipeline < 0 || r.Stage < 0 || r.Stage > MaxStage || r.Pipeline == 0 && r.Stage > 0:
		return fmt.Errorf("stage %d of pipeline %d", r.Stage, r.Pipeline)
	case len(r.Runner) > maxName || len(r.Name) > maxName || r.Runner != strings.TrimSpace(r.Runner) || r.Name != strings.TrimSpace(r.Name):
		return fmt.Errorf("runner %q, name %q", clip(r.Runner), clip(r.Name))
	}
	return nil
}

// decimal is a duration in seconds, to the millisecond.
func decimal(d time.Duration) string {
	text := strconv.FormatFloat(d.Round(time.Millisecond).Seconds(), 'f', 3, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Flush writes out what is held back.
func (w *Writer) Flush() error {
	w.out.Flush()
	if err := w.out.Error(); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}
