package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/outfile"
	"github.com/shoal-ci/shoal/internal/page"
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// checkPageFile tells what is wrong with the name of a page's file, before
// anything long is begun. "" is none. The trace that is read is not to be replaced.
func checkPageFile(name, traceFile string) error {
	if name == "" {
		return nil
	}
	info, err := os.Stat(name)
	if err == nil && info.IsDir() {
		return fmt.Errorf("--html: %s is a directory; name a file in it", name)
	}
	if read, err2 := os.Stat(traceFile); err == nil && err2 == nil && os.SameFile(info, read) {
		return fmt.Errorf("--html: %s is the trace; name another file", name)
	}
	if info, err := os.Stat(filepath.Dir(name)); err != nil || !info.IsDir() {
		return fmt.Errorf("--html: there is no directory %s; make it first", filepath.Dir(name))
	}
	if _, err := outfile.Target(name); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// writePage writes a page to a file, whole or not at all, and tells a person where it is.
func (c *call) writePage(name string, p *page.Page) error {
	var text bytes.Buffer
	err := p.Write(&text)
	if err == nil {
		err = replaceFile(name, text.Bytes())
	}
	if err != nil {
		return &commandError{code: life.Failed, err: fmt.Errorf("--html: %w", err)}
	}
	if isTerminal(c.Stderr) {
		if whole, err := filepath.Abs(name); err == nil {
			name = whole
		}
		fmt.Fprintf(c.Stderr, "shoal: the page is %s\n", name)
	}
	return nil
}

// replaceFile puts text in a file, by way of another one beside it, so that nobody
// ever reads half of it. What is no file (a pipe, /dev/stdout) is written to as it is.
func replaceFile(name string, text []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, text, 0o600) // it is there: the mode is nobody's
	}
	target, err := outfile.Target(name)
	if err != nil {
		return err
	}
	beside, err := newFileBeside(target)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(beside.Name()) }() // nothing once it is renamed
	_, err = beside.Write(text)
	if err = errors.Join(err, beside.Close()); err != nil {
		return err
	}
	return os.Rename(beside.Name(), target)
}

// newFileBeside makes the file that is to take a name, with one that nobody has.
func newFileBeside(target string) (*os.File, error) {
	const tries = 100
	for n := range tries {
		f, err := outfile.Create(fmt.Sprintf("%s.%d-%d.tmp", target, os.Getpid(), n), target)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("%s: too many files of earlier runs beside it, %s.*.tmp; remove them", target, target)
}

// reality is what really happened, as a page names it.
const reality = "what really happened"

// comparisonPage is the page of simulate.
func comparisonPage(f simulateFlags, t trace.Trace, b *bench, results []capacity.Result) *page.Page {
	p := &page.Page{
		Title: "Shoal simulate: " + traceName(f.trace),
		Lead:  fmt.Sprintf("%s over %s, played under %s. %s", howMany(results[0].Jobs, "job", "jobs"), spanOf(t), howMany(len(results), "policy", "policies"), ofRuns(f.seeds)),
		Facts: fleetFacts(f.Options),
		Start: t.Start, Clock: !t.Start.Equal(trace.Monday),
		WaitGrid: capacity.WaitGrid(), Cost: page.Axis{Label: "instance hours"}, Wait: "mean",
		Maker: "shoal " + thisBuild().title(),
		Notes: []string{
			"A wait is the time from when a job could run until it did. A job could run once it was created and all jobs of its pipeline's lower stages were done.",
			"A point of a chart over time stands for an interval: for hours where the whole trace is shown, for minutes where one has zoomed in. The line is the mean, for waiting jobs the most at any moment, so that no peak is lost. With one or two policies shown, the shade is from the least to the most.",
		},
	}
	for _, col := range comparison {
		p.Columns = append(p.Columns, page.Column{Head: col.head, About: col.about})
	}
	names := map[string]int{}
	for i, r := range results {
		name := r.Policy
		if names[r.Policy]++; names[r.Policy] > 1 {
			name = fmt.Sprintf("%s (%d)", name, names[r.Policy])
		}
		run := page.Run{Name: name, Settings: settingsOf(b.policies[i]), Cells: cellsOf(r, results), Timeline: timelineOf(b.records[i].Timeline), Waits: b.records[i].Waits}
		if r.Policy == bound {
			run.Role = page.Bound
		}
		p.Runs = append(p.Runs, run)
		p.Points = append(p.Points, page.Point{Name: name, Settings: run.Settings, Run: name, Cost: r.InstanceHours, Waits: waitsOf(r.Wait), Bound: r.Policy == bound})
	}
	if r, record, ok := b.plan.Happened(); ok {
		p.Runs = append(p.Runs, page.Run{Name: reality, Role: page.Real, Cells: pastCells(r), Timeline: timelineOf(record.Timeline), Waits: record.Waits})
		p.Points = append(p.Points, page.Point{Name: reality, Run: reality, Cost: math.NaN(), Waits: waitsOf(r.Wait), Bound: true})
		p.Notes = append(p.Notes, "What really happened is as the trace tells it: when jobs were created, how long they waited, how long they took. Nobody recorded the instances, so there is no cost to it.")
	}
	return p
}

// ofRuns tells what figures and charts are of.
func ofRuns(seeds int) string {
	if seeds == 1 {
		return "All is of one run of each."
	}
	return fmt.Sprintf("Each figure is the median of %d runs; the charts show the run that is nearest to it.", seeds)
}

func traceName(file string) string {
	if file == "-" {
		return "a trace from stdin"
	}
	return filepath.Base(file)
}

// howMany is a number with what it counts.
func howMany(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + many
}

// spanOf is how long a trace is, as people say it.
func spanOf(t trace.Trace) string {
	d := t.Jobs[len(t.Jobs)-1].Created - t.Jobs[0].Created
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.3g days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.3g hours", d.Hours())
	}
	return fmt.Sprintf("%.3g minutes", d.Minutes())
}

// fleetFacts are what all policies of a comparison share.
func fleetFacts(o capacity.Options) []page.Fact {
	slots := make([]string, len(o.Slots))
	for i, s := range o.Slots {
		slots[i] = strconv.Itoa(s)
	}
	facts := []page.Fact{
		{Name: "Slots", Text: strings.Join(slots, " or ")},
		{Name: "Instances", Text: fmt.Sprintf("%d to %d", o.Min, o.Max)},
		{Name: "From launch to service", Text: fmt.Sprintf("%s ± 15 %%", o.Boot+o.Init)},
		{Name: "Idle before leaving", Text: o.Idle.String()},
		{Name: "Poll", Text: "every " + o.CheckInterval.String()},
	}
	if o.SpotMTBF > 0 {
		facts = append(facts, page.Fact{Name: "EC2 takes an instance", Text: "after " + o.SpotMTBF.String() + " in the mean"})
	}
	if o.APIRate > 0 {
		facts = append(facts, page.Fact{Name: "Auto Scaling answers", Text: fmt.Sprintf("%g calls a second", o.APIRate)})
	}
	return facts
}

func settingsOf(p capacity.Policy) []page.Fact {
	var all []page.Fact
	for _, s := range p.Settings() {
		all = append(all, page.Fact{Name: s[0], Text: s[1]})
	}
	return all
}

func cellsOf(r capacity.Result, results []capacity.Result) []page.Cell {
	var all []page.Cell
	for _, col := range comparison {
		all = append(all, page.Cell{Text: col.text(r), Value: col.figure(r), Best: bestOf(col, results)(r)})
	}
	return all
}

// pastCells are the waits: of what was paid the trace knows nothing.
func pastCells(r capacity.Result) []page.Cell {
	var all []page.Cell
	for _, col := range comparison {
		c := page.Cell{Text: "–", Value: math.NaN()}
		if col.ofWait {
			c = page.Cell{Text: col.text(r), Value: col.figure(r)}
		}
		all = append(all, c)
	}
	return all
}

// waitsOf names waits as page.Measures does.
func waitsOf(w capacity.Wait) map[string]float64 {
	return map[string]float64{"mean": w.Mean, "p50": w.P50, "p90": w.P90, "p95": w.P95, "p99": w.P99, "max": w.Max}
}

func timelineOf(t capacity.Timeline) page.Timeline {
	return page.Timeline{
		From: t.From, Step: t.Step,
		Launched: momentsOf(t.Launched), InService: momentsOf(t.InService), Busy: momentsOf(t.Busy), Queue: momentsOf(t.Queue),
	}
}

func momentsOf(course []capacity.Moment) []page.Moment {
	if course == nil {
		return nil
	}
	all := make([]page.Moment, len(course))
	for i, m := range course {
		all[i] = page.Moment{Min: float64(m.Min), Max: float64(m.Max), Mean: m.Mean}
	}
	return all
}
