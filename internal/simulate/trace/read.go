package trace

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The columns, in the order in which they are told.
const (
	colCreated = iota
	colDuration
	colPipeline
	colStage
	columns
)

var names = [columns]string{"created_at", "duration", "pipeline", "stage"}

// Read reads a trace: CSV with a header that names created_at (seconds, or RFC
// 3339) and duration (seconds), and may name pipeline and stage, in any order.
func Read(from io.Reader) (Trace, error) {
	limited := &io.LimitedReader{R: from, N: MaxBytes + 1}
	in := csv.NewReader(limited)
	in.ReuseRecord = true
	r := reader{in: in, pipelines: map[string]int{}}
	err := r.read()
	if limited.N <= 0 {
		return Trace{}, fmt.Errorf("read trace: more than %d bytes", MaxBytes)
	}
	if err != nil {
		return Trace{}, fmt.Errorf("read trace: %w", err)
	}
	return r.trace()
}

// reader is a trace as far as it was read.
type reader struct {
	in        *csv.Reader
	at        [columns]int // where each column is; -1: absent
	form      form
	start     time.Time // RFC 3339: the earliest
	created   []time.Time
	jobs      []Job
	pipelines map[string]int
	line      int
}

// form is how created_at is written: the first line decides, for a file that
// mixes both was put together wrongly.
type form int

const (
	unknownForm form = iota
	inSeconds
	inRFC3339
)

func (r *reader) read() error {
	header, err := r.in.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("line 1: empty; the first line names the columns: " + strings.Join(names[:], ","))
	}
	if err == nil {
		err = r.header(header)
	}
	for err == nil {
		var record []string
		if record, err = r.in.Read(); err == nil {
			r.line, _ = r.in.FieldPos(0)
			err = r.job(record)
		}
	}
	if !errors.Is(err, io.EOF) {
		return inWords(err)
	}
	if len(r.jobs) == 0 {
		return errors.New("line 2: no job")
	}
	return nil
}

// inWords puts csv's errors as ours are: the line first.
func inWords(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return err
}

func (r *reader) header(record []string) error {
	r.at = [columns]int{-1, -1, -1, -1}
	for i, cell := range record {
		name := strings.TrimSpace(strings.TrimPrefix(cell, "\ufeff")) // spreadsheets begin with a byte order mark
		col := slices.Index(names[:], name)
		switch {
		case col < 0:
			return fmt.Errorf("line 1: unknown column %q; allowed are %s", clip(name), strings.Join(names[:], ", "))
		case r.at[col] >= 0:
			return fmt.Errorf("line 1: column %q twice", name)
		}
		r.at[col] = i
	}
	for _, must := range []int{colCreated, colDuration} {
		if r.at[must] < 0 {
			return fmt.Errorf("line 1: no column %q", names[must])
		}
	}
	if r.at[colStage] >= 0 && r.at[colPipeline] < 0 {
		return errors.New(`line 1: column "stage" without "pipeline": a stage is one of a pipeline's`)
	}
	return nil
}

// job takes one line in.
func (r *reader) job(record []string) error {
	if len(r.jobs) >= MaxJobs {
		return fmt.Errorf("line %d: more than %d jobs", r.line, MaxJobs)
	}
	var j Job
	for _, step := range []func([]string, *Job) error{r.readCreated, r.readDuration, r.readPipeline, r.readStage} {
		if err := step(record, &j); err != nil {
			return err
		}
	}
	r.jobs = append(r.jobs, j)
	return nil
}

func (r *reader) cell(record []string, col int) string { return strings.TrimSpace(record[r.at[col]]) }

func (r *reader) bad(col int, got, allowed string) error {
	return fmt.Errorf("line %d: %s is %q; allowed: %s", r.line, names[col], clip(got), allowed)
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func (r *reader) readCreated(record []string, j *Job) error {
	text := r.cell(record, colCreated)
	if r.form == unknownForm {
		r.form = inSeconds
		if strings.Contains(text, ":") {
			r.form = inRFC3339
		}
	}
	if r.form == inRFC3339 {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1971 || at.Year() > 9998 {
			return r.bad(colCreated, text, "a time as in RFC 3339, 2026-01-31T08:00:00Z, as in the first job")
		}
		r.created = append(r.created, at)
		if r.start.IsZero() || at.Before(r.start) {
			r.start = at
		}
		return nil
	}
	d, ok := seconds(text, MaxSpan)
	if !ok {
		return r.bad(colCreated, text, fmt.Sprintf("seconds from 0 to %.0f, or in every line a time as in RFC 3339", MaxSpan.Seconds()))
	}
	j.Created = d
	return nil
}

func (r *reader) readDuration(record []string, j *Job) error {
	text := r.cell(record, colDuration)
	d, ok := seconds(text, MaxDuration)
	if !ok {
		return r.bad(colDuration, text, fmt.Sprintf("seconds from 0 to %.0f", MaxDuration.Seconds()))
	}
	j.Duration = d
	return nil
}

// seconds parses a finite number of seconds from 0 to most.
func seconds(text string, most time.Duration) (time.Duration, bool) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > most.Seconds() {
		return 0, false
	}
	return time.Duration(math.Round(v * float64(time.Second))), true
}

func (r *reader) readPipeline(record []string, j *Job) error {
	if r.at[colPipeline] < 0 {
		return nil
	}
	text := r.cell(record, colPipeline)
	if len(text) > maxName {
		return r.bad(colPipeline, text, fmt.Sprintf("at most %d bytes", maxName))
	}
	if text == "" { // a job of its own
		return nil
	}
	n, ok := r.pipelines[text]
	if !ok {
		n = len(r.pipelines) + 1
		r.pipelines[strings.Clone(text)] = n
	}
	j.Pipeline = n
	return nil
}

func (r *reader) readStage(record []string, j *Job) error {
	if r.at[colStage] < 0 {
		return nil
	}
	text := r.cell(record, colStage)
	if text == "" && j.Pipeline == 0 {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > MaxStage {
		return r.bad(colStage, text, fmt.Sprintf("a whole number from 0 to %d", MaxStage))
	}
	if j.Pipeline == 0 && n > 0 {
		return r.bad(colStage, text, "0 or nothing, where the line names no pipeline")
	}
	j.Stage = n
	return nil
}

// trace puts what was read together.
func (r *reader) trace() (Trace, error) {
	if r.form == inSeconds {
		return New(Monday, r.jobs), nil
	}
	for i, at := range r.created {
		r.jobs[i].Created = at.Sub(r.start)
		if at.Sub(r.start) > MaxSpan {
			return Trace{}, fmt.Errorf("read trace: job %d is created more than ten years after the first, at %s", i+1, at.Format(time.RFC3339))
		}
	}
	return New(r.start.UTC(), r.jobs), nil
}
