package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// column is one figure of the table.
type column struct {
	head   string
	figure func(capacity.Result) float64
	format string
	more   bool // more is better
	bar    bool // has bars on a terminal: what a policy is chosen by
	ofWait bool // is of waits, in seconds
	about  string
}

var comparison = []column{
	{"mean", func(r capacity.Result) float64 { return r.Wait.Mean }, "%.1f", false, true, true, "mean wait, seconds"},
	{"p50", func(r capacity.Result) float64 { return r.Wait.P50 }, "%.1f", false, false, true, "half of the jobs waited no longer, seconds"},
	{"p90", func(r capacity.Result) float64 { return r.Wait.P90 }, "%.1f", false, false, true, "nine jobs of ten waited no longer"},
	{"p95", func(r capacity.Result) float64 { return r.Wait.P95 }, "%.1f", false, false, true, "95 jobs of 100 waited no longer"},
	{"p99", func(r capacity.Result) float64 { return r.Wait.P99 }, "%.1f", false, false, true, "99 jobs of 100 waited no longer"},
	{"max", func(r capacity.Result) float64 { return r.Wait.Max }, "%.1f", false, false, true, "the longest wait, seconds"},
	{"hours", func(r capacity.Result) float64 { return r.InstanceHours }, "%.1f", false, true, false, "instance hours, from launch to termination"},
	{"used", func(r capacity.Result) float64 { return 100 * r.Utilisation }, "%.1f%%", true, false, false, "share of the paid slots' time in which a job ran"},
	{"launches", func(r capacity.Result) float64 { return r.Launches }, "%.0f", false, false, false, "instances launched"},
	{"unused", func(r capacity.Result) float64 { return r.LaunchesUnused }, "%.0f", false, false, false, "launches that never got a job"},
	{"calls", func(r capacity.Result) float64 { return r.APICalls }, "%.0f", false, false, false, "calls to Auto Scaling"},
	{"lost", func(r capacity.Result) float64 { return float64(r.JobsLost) }, "%.0f", false, false, false, "jobs that scaling ended, or that never began"},
}

// text is a figure as the table has it.
func (col column) text(r capacity.Result) string { return fmt.Sprintf(col.format, col.figure(r)) }

// bound is the policy that no other can pass: it takes no part in what is best.
const bound = "oracle"

// look is how a table is drawn: its zero value is plain text.
type look struct {
	palette

	bars  bool
	width int // of the terminal; 0: nobody knows
}

// newLook decides how stdout's reader sees a table. Bars are for people with a
// terminal that has the letters.
func (c *call) newLook() look {
	l := look{palette: newPalette(c.Stdout, c.Environ)}
	f, ok := c.Stdout.(*os.File)
	if !ok || !isTerminal(f) {
		return l
	}
	l.bars = hasBlocks(c.Environ)
	l.width, _, _ = term.GetSize(int(f.Fd()))
	return l
}

// hasBlocks tells whether the locale has the letters that bars are drawn with, by
// the first of the variables that is set, as setlocale(3) goes.
func hasBlocks(environ []string) bool {
	value := map[string]string{}
	for _, e := range environ {
		name, v, _ := strings.Cut(e, "=")
		value[name] = v
	}
	if value["TERM"] == "dumb" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(value[name]); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// cell is one of a table's: a text, and what is drawn beside it.
type cell struct {
	text string
	best bool
	bar  float64 // share of the column's longest; below 0: none
}

// printComparison is the table for people: the best of each column is marked.
func printComparison(w io.Writer, l look, results []capacity.Result) error {
	head := []cell{{text: "policy", bar: -1}}
	rows := make([][]cell, len(results))
	for i, r := range results {
		rows[i] = []cell{{text: r.Policy, bar: -1}}
	}
	for _, col := range comparison {
		head = append(head, cell{text: col.head, bar: -1})
		best := bestOf(col, results)
		most := 0.0
		for _, r := range results {
			most = max(most, col.figure(r))
		}
		for i, r := range results {
			c := cell{text: col.text(r), best: best(r), bar: -1}
			if col.bar && most > 0 {
				c.bar = col.figure(r) / most
			}
			rows[i] = append(rows[i], c)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d jobs; waits in seconds; * is the best of a column\n\n", results[0].Jobs)
	b.WriteString(alignCells(append([][]cell{head}, rows...), l))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// bestOf tells of a result whether its figure is the best of a column. None is
// where all are alike: there is nothing to be proud of.
func bestOf(col column, results []capacity.Result) func(capacity.Result) bool {
	var figures []float64
	for _, r := range results {
		if r.Policy != bound {
			figures = append(figures, col.figure(r))
		}
	}
	none := func(capacity.Result) bool { return false }
	if len(figures) < 2 {
		return none
	}
	low, high := slices.Min(figures), slices.Max(figures)
	if low == high {
		return none
	}
	best := low
	if col.more {
		best = high
	}
	return func(r capacity.Result) bool {
		return r.Policy != bound && col.text(r) == fmt.Sprintf(col.format, best)
	}
}

// alignCells puts cells under each other, the first column to the left. The first row is
// the head.
func alignCells(rows [][]cell, l look) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			mark := 1
			if i == 0 {
				mark = 0
			}
			width[i] = max(width[i], utf8.RuneCountInString(c.text)+mark)
		}
	}
	long := l.barLength(rows, width)
	var b strings.Builder
	for n, row := range rows {
		line := fmt.Sprintf("%-*s", width[0], row[0].text)
		for i, c := range row[1:] {
			mark := " "
			if c.best {
				mark = "*"
			}
			text := fmt.Sprintf("  %*s", width[i+1], c.text+mark)
			if c.best {
				text = l.green(text)
			}
			line += text
			if long > 0 && barred(rows, i+1) {
				line += bar(c.bar, long)
			}
		}
		line = strings.TrimRight(line, " ")
		if n == 0 {
			line = l.dim(line)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// align puts texts under each other in the same way; a text that ends in a star is the best.
func align(rows [][]string, p palette) string {
	cells := make([][]cell, len(rows))
	for n, row := range rows {
		for _, text := range row {
			plain, best := strings.CutSuffix(text, "*")
			cells[n] = append(cells[n], cell{text: plain, best: best, bar: -1})
		}
	}
	return alignCells(cells, look{palette: p})
}

// barred tells whether a column has bars.
func barred(rows [][]cell, column int) bool {
	return slices.ContainsFunc(rows, func(row []cell) bool { return row[column].bar >= 0 })
}

// longestBar is how many letters a bar has where there is room.
const longestBar = 10

// barLength is how many letters the bars of a table have: what the terminal leaves,
// and one where it leaves nothing.
func (l look) barLength(rows [][]cell, width []int) int {
	if !l.bars {
		return 0
	}
	used, columns := width[0], 0
	for i, w := range width[1:] {
		used += 2 + w
		if barred(rows, i+1) {
			columns++
		}
	}
	if columns == 0 || l.width == 0 {
		return longestBar
	}
	return min(longestBar, max(1, (l.width-used)/columns))
}

// Bars grow by eighths of a letter, to the right; of one letter alone upwards.
var (
	rightwards = []rune(" ▏▎▍▌▋▊▉█")
	upwards    = []rune("▁▂▃▄▅▆▇█")
)

// bar draws a share of so many letters; nothing as blanks.
func bar(share float64, letters int) string {
	if share < 0 {
		return strings.Repeat(" ", letters)
	}
	if letters == 1 {
		return string(upwards[min(len(upwards)-1, int(share*float64(len(upwards))))])
	}
	eighths := min(8*letters, int(share*float64(8*letters)+0.5))
	if share > 0 {
		eighths = max(eighths, 1) // little is not nothing
	}
	text := strings.Repeat("█", eighths/8)
	if eighths%8 > 0 {
		text += string(rightwards[eighths%8])
	}
	return text + strings.Repeat(" ", letters-utf8.RuneCountInString(text))
}

// printCSV prints what --json does as CSV: a line for each policy under a head.
func printCSV(w io.Writer, results []capacity.Result) error {
	out := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	lines := [][]string{{
		"policy", "jobs", "wait_seconds_mean", "wait_seconds_p50", "wait_seconds_p90", "wait_seconds_p95", "wait_seconds_p99", "wait_seconds_max",
		"instance_hours", "utilisation", "launches", "launches_unused", "api_calls", "jobs_lost", "jobs_unfinished",
	}}
	for _, r := range results {
		lines = append(lines, []string{
			r.Policy, strconv.Itoa(r.Jobs), number(r.Wait.Mean), number(r.Wait.P50), number(r.Wait.P90), number(r.Wait.P95), number(r.Wait.P99), number(r.Wait.Max),
			number(r.InstanceHours), number(r.Utilisation), number(r.Launches), number(r.LaunchesUnused), number(r.APICalls), strconv.Itoa(r.JobsLost), strconv.Itoa(r.JobsUnfinished),
		})
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
