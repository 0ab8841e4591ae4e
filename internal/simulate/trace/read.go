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
	colWaited
	colRunner
	colName
	columns
)

var names = [columns]string{"created_at", "duration", "pipeline", "stage", "waited", "runner", "name"}

// Read reads a trace: CSV with a header that names created_at (seconds, or RFC
// 3339) and duration (seconds), and may name pipeline, stage, waited (seconds),
// runner and name, in any order.
func Read(from io.Reader) (Trace, error) {
	text := newLines(from)
	in := csv.NewReader(text)
	in.ReuseRecord = true
	r := reader{text: text, in: in, pipelines: numbers{}, runners: numbers{}, names: numbers{}}
	if err := r.read(); err != nil {
		return Trace{}, fmt.Errorf("read trace: %w", err)
	}
	return r.trace(), nil
}

// reader is a trace as far as it was read.
type reader struct {
	text      *lines
	in        *csv.Reader
	at        [columns]int // where each column is; -1: absent
	form      form
	origin    time.Time // RFC 3339: of the first job; Created counts from it
	from, to  moment    // the earliest and the latest job
	jobs      rows
	pipelines numbers
	runners   numbers
	names     numbers
	waits     int // the jobs that say how long they waited
	line      int
}

// moment is when a job was created, and its line.
type moment struct {
	at   time.Duration
	line int
}

// numbers counts texts by the order in which they first appear, from 1.
type numbers map[string]int

func (n numbers) of(text string) int {
	number, ok := n[text]
	if !ok {
		number = len(n) + 1
		n[strings.Clone(text)] = number // the reader's record is not ours to keep
	}
	return number
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
		r.text.next()
		var record []string
		record, err = r.in.Read()
		switch {
		case err == nil:
			r.line, _ = r.in.FieldPos(0)
			err = r.job(record)
		case errors.Is(err, csv.ErrFieldCount):
			line, _ := r.in.FieldPos(0)
			err = fmt.Errorf("line %d: %d columns; the first line names %d", line, len(record), r.in.FieldsPerRecord)
		}
	}
	if !errors.Is(err, io.EOF) {
		return inWords(err)
	}
	if r.jobs.count == 0 {
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
	for col := range r.at {
		r.at[col] = -1
	}
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
	if r.jobs.count >= MaxJobs {
		return fmt.Errorf("line %d: more than %d jobs", r.line, MaxJobs)
	}
	var j Job
	for _, step := range []func([]string, *Job) error{r.readCreated, r.readDuration, r.readPipeline, r.readStage, r.readWaited, r.readRunner, r.readName} {
		if err := step(record, &j); err != nil {
			return err
		}
	}
	r.jobs.add(j)
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
		return r.readTime(text, j)
	}
	d, ok := seconds(text, MaxSpan)
	if !ok {
		return r.bad(colCreated, text, fmt.Sprintf("seconds from 0 to %.0f, or in every line a time as in RFC 3339", MaxSpan.Seconds()))
	}
	j.Created = d
	return nil
}

// readTime counts from the first job; where another was earlier is found out at the
// end.
func (r *reader) readTime(text string, j *Job) error {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < firstYear || at.Year() > lastYear {
		return r.bad(colCreated, text, "a time as in RFC 3339, 2026-01-31T08:00:00Z, as in the first job")
	}
	if r.origin.IsZero() {
		r.origin = at
		r.from, r.to = moment{0, r.line}, moment{0, r.line}
	}
	j.Created = at.Sub(r.origin)
	if j.Created < r.from.at {
		r.from = moment{j.Created, r.line}
	}
	if j.Created > r.to.at {
		r.to = moment{j.Created, r.line}
	}
	if r.to.at-r.from.at > MaxSpan || r.to.at-r.from.at < 0 { // below 0: more than a Duration holds
		return fmt.Errorf("line %d: created_at is more than ten years from that of line %d", r.line, r.from.line+r.to.line-r.line)
	}
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

func (r *reader) readPipeline(record []string, j *Job) (err error) {
	j.Pipeline, err = r.number(record, colPipeline, r.pipelines)
	return err
}

func (r *reader) readRunner(record []string, j *Job) (err error) {
	j.Runner, err = r.number(record, colRunner, r.runners)
	return err
}

func (r *reader) readName(record []string, j *Job) (err error) {
	j.Name, err = r.number(record, colName, r.names)
	return err
}

// number reads what stands for a pipeline, a runner or a name; 0: nothing does.
func (r *reader) number(record []string, col int, known numbers) (int, error) {
	if r.at[col] < 0 {
		return 0, nil
	}
	text := r.cell(record, col)
	if len(text) > maxName {
		return 0, r.bad(col, text, fmt.Sprintf("at most %d bytes", maxName))
	}
	if text == "" {
		return 0, nil
	}
	return known.of(text), nil
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

// readWaited reads how long the job waited; an empty cell says that nobody knows.
func (r *reader) readWaited(record []string, j *Job) error {
	if r.at[colWaited] < 0 {
		return nil
	}
	text := r.cell(record, colWaited)
	if text == "" {
		return nil
	}
	d, ok := seconds(text, MaxDuration)
	if !ok {
		return r.bad(colWaited, text, fmt.Sprintf("seconds from 0 to %.0f, or nothing", MaxDuration.Seconds()))
	}
	j.Waited = d
	r.waits++
	return nil
}

// trace puts what was read together.
func (r *reader) trace() Trace {
	start := Monday
	if r.form == inRFC3339 {
		start = r.origin.Add(r.from.at).UTC()
	}
	real := r.waits == r.jobs.count
	t := New(start, r.jobs.take(r.from.at))
	t.Real = real
	return t
}
