package page_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/page"
)

func write(t *testing.T, p *page.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// course has a peak in one moment.
func course(moments, peakAt int) []page.Moment {
	all := make([]page.Moment, moments)
	for i := range all {
		all[i] = page.Moment{Min: 1, Max: 3, Mean: 1 + float64(i%977)/1000}
	}
	if peakAt < moments {
		all[peakAt].Max = 4711
	}
	return all
}

// full is a page of so many runs.
func full(runs, moments int) *page.Page {
	p := &page.Page{
		Title: "A comparison", Start: time.Date(2026, 3, 2, 8, 30, 0, 0, time.UTC), Clock: true,
		WaitGrid: []time.Duration{0, time.Second, time.Minute, time.Hour}, Columns: []page.Column{{Head: "mean"}}, Cost: page.Axis{Label: "hours"},
	}
	for n := range runs {
		name := fmt.Sprintf("policy:%d", n)
		p.Runs = append(p.Runs, page.Run{
			Name: name, Cells: []page.Cell{{Text: "1.0", Value: float64(n)}}, Waits: []float64{0.5, 0.9, 1, 1},
			Timeline: page.Timeline{Step: time.Minute, Launched: course(moments, moments/2), InService: course(moments, moments), Busy: course(moments, 7), Queue: course(moments, 0)},
		})
		p.Points = append(p.Points, page.Point{Name: name, Run: name, Cost: float64(n), Waits: map[string]float64{"mean": 5}})
	}
	return p
}

var (
	scripts  = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	styles   = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	dataPart = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)
)

// TestOnlyItsOwnScriptsRun: the browser's policy names every script and style of the
// page by what it is, and lets nothing else run or load.
func TestOnlyItsOwnScriptsRun(t *testing.T) {
	text := write(t, full(2, 10))
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	if policy == nil || !strings.HasPrefix(policy[1], "default-src &#39;none&#39;;") || strings.Contains(policy[1], "unsafe") {
		t.Fatalf("the policy is %q", policy)
	}
	parts := append(scripts.FindAllStringSubmatch(text, -1), styles.FindAllStringSubmatch(text, -1)...)
	if len(parts) != 4 {
		t.Errorf("%d scripts and styles, want 4", len(parts))
	}
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part[1]))
		if name := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(strings.ReplaceAll(policy[1], "&#43;", "+"), name) {
			t.Errorf("the policy does not name %s, of %.60q", name, part[1])
		}
	}
	if found := regexp.MustCompile(`(?i)(src|href)\s*=\s*["'](?:https?:)?//|url\(\s*["']?http|@import`).FindString(text); found != "" {
		t.Errorf("the page loads something: %q", found)
	}
	if !strings.Contains(text, "Permission is hereby granted") {
		t.Error("uPlot's licence does not go along with it")
	}
}

// TestNothingBreaksOut: whatever is put in stays text.
func TestNothingBreaksOut(t *testing.T) {
	const evil = `</script></style></title><script>alert(1)</script><b onclick="x">'"&amp; {{.}}`
	p := full(1, 3)
	p.Title, p.Lead, p.Maker, p.Notes = evil, evil, evil, []string{evil}
	p.Facts = []page.Fact{{Name: evil, Text: evil}}
	p.Columns[0] = page.Column{Head: evil, About: evil}
	p.Cost = page.Axis{Label: evil, Unit: evil}
	p.Runs[0].Name, p.Runs[0].Settings, p.Runs[0].Cells[0].Text = evil, p.Facts, evil
	p.Points[0] = page.Point{Name: evil, Mark: evil, Settings: p.Facts, Waits: map[string]float64{"mean": 1}}
	p.Recommendation = &page.Recommendation{Title: evil, Lead: evil, Figures: []page.Figure{{Label: evil, Text: evil, About: evil}}, Snippet: evil, SnippetName: evil, Sure: []string{evil}}
	text := write(t, p)
	if n := strings.Count(text, "alert(1)</script>") + strings.Count(text, `<b onclick`); n > 0 {
		t.Errorf("%d times something came out as markup", n)
	}
	if n, want := strings.Count(text, "</script>"), 3; n != want {
		t.Errorf("%d scripts end, want %d", n, want)
	}
	var d struct {
		Runs []struct{ Name string }
		Cost struct{ Label string }
	}
	if err := json.Unmarshal([]byte(dataPart.FindStringSubmatch(text)[1]), &d); err != nil || d.Runs[0].Name != evil || d.Cost.Label != evil {
		t.Errorf("the data are not what was put in: %+v, %v", d, err)
	}
}

// TestSizeIsBounded: the most runs of the longest timelines fit, and keep their peaks.
func TestSizeIsBounded(t *testing.T) {
	for _, runs := range []int{1, 6, page.MostRuns} {
		text := write(t, full(runs, 4096))
		if len(text) > page.MaxBytes {
			t.Errorf("%d runs: %d bytes", runs, len(text))
		}
		var d struct {
			Start int64
			Runs  []struct {
				Step  float64
				Lines map[string]struct{ Mean, Low, High []float64 }
			}
		}
		if err := json.Unmarshal([]byte(dataPart.FindStringSubmatch(text)[1]), &d); err != nil {
			t.Fatal(err)
		}
		if d.Start != 8*3600+1800 {
			t.Errorf("it starts %d s after midnight", d.Start)
		}
		for n, r := range d.Runs {
			for _, kind := range []string{"launched", "busy", "queue"} {
				most, sum := 0.0, 0.0
				for i := range r.Lines[kind].Mean {
					most, sum = max(most, r.Lines[kind].High[i]), sum+r.Lines[kind].Mean[i]
				}
				if mean := sum / float64(len(r.Lines[kind].Mean)); most != 4711 || math.Abs(mean-1.43) > 0.05 || r.Step*float64(len(r.Lines[kind].Mean)) < 4096*60 {
					t.Fatalf("%d runs, %d's %s: peak %g, mean %g, %d steps of %g s", runs, n, kind, most, mean, len(r.Lines[kind].Mean), r.Step)
				}
			}
		}
	}
}

// TestSamePageSameBytes: a page can be compared with an earlier one.
func TestSamePageSameBytes(t *testing.T) {
	first, second := write(t, full(3, 100)), write(t, full(3, 100))
	if first != second {
		t.Error("the same page came out different")
	}
}

// TestRefusals: mistakes of who fills a page in are told, and nothing is written.
func TestRefusals(t *testing.T) {
	for want, spoil := range map[string]func(*page.Page){
		"129 runs":                 func(p *page.Page) { *p = *full(129, 1) },
		`wait is "p42"`:            func(p *page.Page) { p.Wait = "p42" },
		"has 0 cells of 1 columns": func(p *page.Page) { p.Runs[0].Cells = nil },
		"1 shares of 4 waits":      func(p *page.Page) { p.Runs[0].Waits = []float64{1} },
		"is nowhere":               func(p *page.Page) { p.Points[0].Waits["mean"] = math.NaN() },
	} {
		p := full(1, 1)
		spoil(p)
		var b bytes.Buffer
		if err := p.Write(&b); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("%v, and %d bytes; want %q", err, b.Len(), want)
		}
	}
}

// TestTablesSayTheSame: what charts show is there in words.
func TestTablesSayTheSame(t *testing.T) {
	p := full(1, 100)
	p.Points = append(p.Points, page.Point{Name: "tried", Settings: []page.Fact{{Name: "idle", Text: "4m"}}, Cost: 1234, Waits: map[string]float64{"mean": 7, "p95": 61.5}})
	p.Runs = append(p.Runs, page.Run{Name: "the past", Role: page.Real, Cells: []page.Cell{{Text: "–", Value: math.NaN()}}, Timeline: page.Timeline{Step: time.Minute, Busy: course(10, 0)}})
	p.Points = append(p.Points, page.Point{Name: "the past", Run: "the past", Cost: math.NaN(), Waits: map[string]float64{"mean": 9}})
	text := write(t, p)
	for _, want := range []string{"4,711", "90.0 %", "100.0 %", "tried", "idle = 4m", "1,234", "61.5", "the past", "noscript"} {
		if !strings.Contains(text, want) {
			t.Errorf("no table says %q", want)
		}
	}
	if empty := write(t, &page.Page{Title: "Nothing"}); strings.Contains(empty, `id="c-`) {
		t.Error("a page of nothing has charts")
	}
}
