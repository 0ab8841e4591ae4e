package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
)

// The parts of a page. uPlot draws the charts (uplot/LICENSE).
var (
	//go:embed page.html
	layout string
	//go:embed page.css
	ourStyle string
	//go:embed page.js
	ourScript string
	//go:embed uplot/uPlot.min.css
	uplotStyle string
	//go:embed uplot/uPlot.iife.min.js
	uplotScript string
	//go:embed uplot/LICENSE
	uplotLicence string
)

// library is uPlot as a page holds it: under its terms, which want to go along.
var library = "/*\n" + uplotLicence + "*/\n" + uplotScript

var parsed = template.Must(template.New("page").Funcs(template.FuncMap{"pieces": pieces}).Parse(layout))

// pieces are the parts of a name between which a line may end.
func pieces(name string) []string {
	return strings.FieldsFunc(strings.NewReplacer(":", ":\x00", ",", ",\x00").Replace(name), func(r rune) bool { return r == 0 })
}

// Write writes the page as one file of HTML.
func (p *Page) Write(to io.Writer) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("draw the page: %w", err)
	}
	encoded, err := p.encode()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, p.view(encoded)); err != nil {
		return fmt.Errorf("draw the page: %w", err)
	}
	if out.Len() > MaxBytes {
		return fmt.Errorf("the page would be %d bytes, at most %d: fewer runs, or fewer points", out.Len(), MaxBytes)
	}
	if _, err := to.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// check refuses what cannot be drawn: a mistake of who filled the page in.
func (p *Page) check() error {
	var all []error
	if len(p.Runs) > MostRuns || len(p.Points) > MostPoints {
		all = append(all, fmt.Errorf("%d runs and %d points; at most %d and %d", len(p.Runs), len(p.Points), MostRuns, MostPoints))
	}
	if p.Wait != "" && !slices.Contains(Measures, p.Wait) {
		all = append(all, fmt.Errorf("wait is %q; there are %s", p.Wait, strings.Join(Measures, ", ")))
	}
	for _, r := range p.Runs {
		if len(r.Cells) != len(p.Columns) || r.Waits != nil && len(r.Waits) != len(p.WaitGrid) {
			all = append(all, fmt.Errorf("run %q has %d cells of %d columns, and %d shares of %d waits", r.Name, len(r.Cells), len(p.Columns), len(r.Waits), len(p.WaitGrid)))
		}
	}
	for _, pt := range p.Points {
		for _, v := range pt.Waits {
			if math.IsNaN(v) || math.IsInf(v, 0) || math.IsInf(pt.Cost, 0) {
				all = append(all, fmt.Errorf("point %q is nowhere: cost %g, wait %g", pt.Name, pt.Cost, v))
			}
		}
	}
	return errors.Join(all...)
}

// view is what the layout is filled with.
type view struct {
	*Page
	Policy                         string // of the browser: what the page may load
	Style, LibraryStyle            template.CSS
	Script, LibraryScript          template.JS
	Data                           template.JS
	Rows                           []viewRow
	Over                           []viewOver
	WaitHeads                      []string
	WaitRows                       []viewWaits
	Measures                       []string
	HasTime, HasService, HasPoints bool
	HasBound                       bool
	PointsApart                    bool // not the rows of the table
	PointRows                      []viewPoint
}

type viewRow struct {
	Run
	Index int
	Cells []viewCell
	Apart []Fact // the settings that its name does not tell
}

func apart(name string, settings []Fact) []Fact {
	return slices.DeleteFunc(slices.Clone(settings), func(s Fact) bool { return strings.Contains(name, s.Name+"="+s.Text) })
}

type viewCell struct {
	Cell
	Head string
	Bar  string // of 100
}

// viewOver is what a run's charts show, in words.
type viewOver struct {
	Name  string
	Cells []string
}

type viewWaits struct {
	Name   string
	Shares []string
}

type viewPoint struct {
	Point
	CostText string
	Texts    []string
	Apart    []Fact
}

func (p *Page) view(encoded []byte) view {
	v := view{
		Page:  p,
		Style: template.CSS(ourStyle), LibraryStyle: template.CSS(uplotStyle), //nolint:gosec // our own, and the library's
		Script: template.JS(ourScript), LibraryScript: template.JS(library), //nolint:gosec // the same
		Data:     template.JS(encoded), //nolint:gosec // encoding/json writes no <, > or &
		Measures: Measures, HasPoints: len(p.Points) > 0, WaitHeads: waitHeads(),
	}
	v.Policy = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " + hash(uplotStyle) + " " + hash(ourStyle) +
		"; script-src " + hash(library) + " " + hash(ourScript)
	for i, r := range p.Runs {
		v.Rows = append(v.Rows, viewRow{Run: r, Index: i, Cells: p.cells(r), Apart: apart(r.Name, r.Settings)})
		v.HasTime = v.HasTime || r.Timeline.any()
		v.HasService = v.HasService || r.Timeline.InService != nil
		v.HasBound = v.HasBound || r.Role == Bound
		v.Over = append(v.Over, viewOver{r.Name, r.Timeline.words()})
		if r.Waits != nil {
			v.WaitRows = append(v.WaitRows, viewWaits{r.Name, p.waitWords(r)})
		}
	}
	for _, pt := range p.Points {
		v.PointsApart = v.PointsApart || pt.Run == ""
		row := viewPoint{Point: pt, CostText: figure(pt.Cost), Apart: apart(pt.Name, pt.Settings)}
		for _, m := range Measures {
			text := "–"
			if w, ok := pt.Waits[m]; ok {
				text = figure(w)
			}
			row.Texts = append(row.Texts, text)
		}
		v.PointRows = append(v.PointRows, row)
	}
	return v
}

// hash names a script or style that is in the page, so that no other one runs.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// cells are a row's, each bar as a share of its column's longest.
func (p *Page) cells(r Run) []viewCell {
	var out []viewCell
	for i, c := range r.Cells {
		most := 0.0
		for _, other := range p.Runs {
			if v := other.Cells[i].Value; v > most && !math.IsInf(v, 0) {
				most = v
			}
		}
		cell := viewCell{Cell: c, Head: p.Columns[i].Head}
		if c.Value > 0 && most > 0 {
			cell.Bar = fmt.Sprintf("%.1f", min(100, 100*c.Value/most))
		}
		out = append(out, cell)
	}
	return out
}

func (t Timeline) any() bool {
	return t.Launched != nil || t.InService != nil || t.Busy != nil || t.Queue != nil
}

// words are the mean and the peak of each course.
func (t Timeline) words() []string {
	var out []string
	for _, course := range [][]Moment{t.Launched, t.Busy, t.Queue} {
		if course == nil {
			out = append(out, "–", "–")
			continue
		}
		var sum, most float64
		for _, m := range course {
			sum += m.Mean
			most = max(most, m.Max)
		}
		out = append(out, figure(sum/float64(max(1, len(course)))), figure(most))
	}
	return out
}

// told are the waits, in seconds, of which the table tells what share of jobs waited no longer.
var told = []struct {
	seconds float64
	text    string
}{{1, "1 s"}, {10, "10 s"}, {30, "30 s"}, {60, "1 min"}, {120, "2 min"}, {300, "5 min"}, {600, "10 min"}, {1800, "30 min"}, {3600, "1 h"}}

func waitHeads() []string {
	var out []string
	for _, w := range told {
		out = append(out, w.text)
	}
	return out
}

func (p *Page) waitWords(r Run) []string {
	var out []string
	for _, w := range told {
		share := 0.0
		for i, upTo := range p.WaitGrid {
			if upTo.Seconds() <= w.seconds {
				share = r.Waits[i]
			}
		}
		out = append(out, fmt.Sprintf("%.1f %%", math.Floor(1000*share+1e-6)/10)) // all is said of all alone
	}
	return out
}

// figure is a number as people read it.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v >= 1000, v == math.Trunc(v):
		return thousands(fmt.Sprintf("%.0f", v))
	case v < 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// thousands puts a comma between them.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
