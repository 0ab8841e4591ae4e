package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/shoal-ci/shoal/internal/page"
)

// hostile is what a name must never become: markup, or script.
const hostile = `</script><script>document.title="broken"</script><img src=x onerror="document.title='broken'">&amp;`

// advice is a page with all that there can be, as of a search: made up, with names
// that want to break out.
func advice(seed uint64) *page.Page {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // made up
	grid := []time.Duration{0, time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, time.Hour}
	course := func(high float64) []page.Moment {
		var all []page.Moment
		for n := range 2000 {
			v := high * math.Max(0, math.Sin(float64(n)/40)) * r.Float64()
			all = append(all, page.Moment{Min: math.Floor(v / 2), Max: math.Ceil(v * 2), Mean: v})
		}
		return all
	}
	run := func(name string, role page.Role, wait float64) page.Run {
		t := page.Timeline{Step: 10 * time.Minute, Busy: course(60), Queue: course(20)}
		if role != page.Real {
			t.Launched, t.InService = course(12), course(11)
		}
		return page.Run{
			Name: name, Role: role, Settings: []page.Fact{{Name: "monitor.idle_threshold", Text: "4m"}, {Name: hostile, Text: hostile}},
			Cells: []page.Cell{{Text: fmt.Sprint(wait), Value: wait, Best: wait < 20}}, Timeline: t, Waits: []float64{0.2, 0.4, 0.6, 0.9, 0.99, 1},
		}
	}
	p := &page.Page{
		Title: "What to set for " + hostile, Lead: "A search through 240 settings. " + hostile, Maker: "shoal",
		Facts: []page.Fact{{Name: "Trace", Text: hostile}}, Notes: []string{"Halves of the trace agree. " + hostile},
		Recommendation: &page.Recommendation{
			Title: "Recommended: three spare slots by day", Lead: "It keeps the promise with the least cost.",
			Figures: []page.Figure{
				{Label: "wait p95", Text: "58 s", About: "promised 60 s, in force 99 s"}, {Label: "cost", Text: "$212", About: "in force $226"}, {Label: "saved", Text: "6 %"},
			},
			Snippet: "[spares]\nslots = [\"3 * 7-19 * * mon-fri\"] # " + hostile + "\nhold = \"10m\"\n", SnippetName: "/etc/shoal/shoal.toml",
			Sure: []string{"In 9 of 10 seeds, and on both halves of the trace, it comes out the same."},
		},
		Runs:    []page.Run{run("recommended", page.Contender, 14), run("in force "+hostile, page.Contender, 26), run("oracle", page.Bound, 0), run("what really happened", page.Real, 31)},
		Columns: []page.Column{{Head: "mean", About: "mean wait"}},
		Start:   time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Clock: true,
		WaitGrid: grid, Cost: page.Axis{Label: "cost", Unit: "$"}, Wait: "p95", Limits: page.Limits{Measure: "p95", Wait: 60},
	}
	waits := func(m float64) map[string]float64 {
		return map[string]float64{"mean": m, "p50": m / 2, "p90": m * 2, "p95": m * 3, "p99": m * 4}
	}
	p.Points = []page.Point{
		{Name: "recommended", Run: "recommended", Mark: "recommended", Cost: 212, Waits: waits(14), Settings: p.Runs[0].Settings},
		{Name: p.Runs[1].Name, Run: p.Runs[1].Name, Mark: "in force", Cost: 226, Waits: waits(26)},
		{Name: "oracle", Run: "oracle", Cost: 190, Waits: waits(0), Bound: true},
		{Name: "what really happened", Run: "what really happened", Cost: math.NaN(), Waits: waits(31)},
	}
	for n := range 240 {
		cost := 195 + 90*r.Float64()
		p.Points = append(p.Points, page.Point{
			Name: fmt.Sprintf("settings %d", n), Cost: cost, Waits: waits(8 + 900/(cost-150) + 20*r.Float64()),
			Settings: []page.Fact{{Name: "idle", Text: fmt.Sprintf("%ds", 60+10*n)}},
		})
	}
	return p
}
