package tune

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// at is a job that is created in an hour of a day, from Monday on.
func at(day, hour int) trace.Job {
	return trace.Job{Created: time.Duration(24*day+hour) * time.Hour, Duration: time.Hour}
}

func TestPeriods(t *testing.T) {
	working := func(days []int, from, to int) []trace.Job {
		var jobs []trace.Job
		for _, d := range days {
			for h := from; h <= to; h++ {
				jobs = append(jobs, at(d, h%24))
			}
		}
		return jobs
	}
	for name, c := range map[string]struct {
		jobs []trace.Job
		want []string
	}{
		"working days": {working([]int{0, 1, 2, 3, 4, 7, 8, 9, 10, 11}, 8, 17), []string{"* 8-17 * * mon-fri", "* 8-15 * * mon-fri"}},
		"four weeks": {slices.Concat(working([]int{0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25}, 8, 17),
			working([]int{5, 6, 12, 13, 19, 20, 26, 27}, 10, 10)), []string{"* 8-17 * * mon-fri", "* 8-15 * * mon-fri"}},
		"every day":         {working([]int{0, 1, 2, 3, 4, 5, 6}, 9, 12), []string{"* 9-12 * * *", "* 9-11 * * *"}},
		"no weekend seen":   {working([]int{0, 1, 2}, 9, 12), []string{"* 9-12 * * *", "* 9-11 * * *"}},
		"over midnight":     {working([]int{0, 1, 2, 3, 4, 5, 6}, 22, 25), []string{"* 22-23,0-1 * * *", "* 22-23,0 * * *"}},
		"one hour":          {working([]int{0, 1, 2, 3, 4, 5, 6}, 2, 2), []string{"* 2 * * *"}},
		"all day and night": {working([]int{0, 1, 2, 3, 4, 5, 6}, 0, 23), nil},
	} {
		if got := periods(trace.New(trace.Monday, c.jobs)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestPeak: jobs of a stage wait for those below; only what can run at once counts.
func TestPeak(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	jobs := []trace.Job{
		{Created: 0, Duration: s(100), Pipeline: 1},
		{Created: 0, Duration: s(50), Pipeline: 1, Stage: 1},
		{Created: 0, Duration: s(50), Pipeline: 1, Stage: 1},
		{Created: 0, Duration: s(50), Pipeline: 1, Stage: 3},
		{Created: s(100), Duration: s(10), Pipeline: 2},
		{Created: s(149), Duration: s(2)},
		{Created: s(150), Duration: s(2)},
	}
	f := Look(trace.New(trace.Monday, jobs), 1)
	if f.Peak != 3 || !f.Stages || f.Dated || f.Jobs != 7 {
		t.Errorf("%+v", f)
	}
	if f := Look(trace.New(trace.Monday.Add(time.Hour), jobs), 2); f.Peak != 2 || !f.Dated {
		t.Errorf("%+v", f)
	}
}

// TestParts: every job is in one half, pipelines are whole, and times are kept.
func TestParts(t *testing.T) {
	var jobs []trace.Job
	for n := range 200 {
		jobs = append(jobs, trace.Job{Created: time.Duration(n) * time.Hour, Duration: time.Duration(n), Pipeline: n / 3})
	}
	all := Parts(trace.New(trace.Monday, jobs))
	for p := Whole; p <= 2; p++ {
		first, second := p.halves()
		if got := append(slices.Clone(all[first].Jobs), all[second].Jobs...); fmt.Sprint(got) != fmt.Sprint(all[p].Jobs) {
			t.Errorf("%s: its halves are another trace", p)
		}
		last := all[first].Jobs[len(all[first].Jobs)-1]
		if next := all[second].Jobs[0]; next.Pipeline == last.Pipeline {
			t.Errorf("%s: pipeline %d is cut", p, next.Pipeline)
		}
		if n, m := len(all[first].Jobs), len(all[second].Jobs); n-m > 4 || m-n > 4 {
			t.Errorf("%s: halves of %d and %d", p, n, m)
		}
	}
	if none := Parts(trace.Trace{}); len(none) != parts || len(none[6].Jobs) != 0 {
		t.Errorf("%v", none)
	}
}

// TestSettingsInWords: what is written down is what was played.
func TestSettingsInWords(t *testing.T) {
	d := Defaults()
	s := d
	s.Idle, s.Learn, s.Spares, s.Hold, s.Min, s.Max, s.Slots = 90*time.Second, 30*time.Minute, []string{"12 * 8-18 * * mon-fri"}, 10*time.Minute, 1, 60, 8
	s.CheckInterval, s.BlindAfter, s.Webhook, s.Anticipate, s.WebhookGrace = time.Second, 500*time.Millisecond, true, true, 2*time.Minute
	if got, want := s.String(), "--policy 'shoal:idle=90s,learn=30m,blind_after=500ms,spares=12,spares_period=* 8-18 * * mon-fri,spares_hold=10m,"+
		"hook=on,webhook_grace=2m,anticipate=on' --slots 8 --min 1 --max 60 --check-interval 1s"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := s.Brief(d); !strings.HasSuffix(got, ",slots=8,min=1,max=60,check_interval=1s") || strings.HasPrefix(got, "shoal:") {
		t.Error(got)
	}
	const config = "[monitor]\nidle_threshold = \"90s\"\nlearn_idle = \"30m\"\n\n[scale_up]\nblind_after = \"500ms\"\nwebhook_grace = \"2m\"\n\n" +
		"[spares]\nslots = [\"12 * 8-18 * * mon-fri\"]\nhold = \"10m\"\n"
	changes := s.From(d)
	for where, want := range map[string]string{
		InConfig: config, InWebhook: "[webhook]\nanticipate = true\n", InRunner: "concurrent = 8\ncheck_interval = 1\n",
	} {
		if got := Snippet(changes, where); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", where, got, want)
		}
	}
	if got := d.From(d); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	back := d.From(s)
	if text := Snippet(back, InConfig); !strings.Contains(text, "slots = []\nhold = \"0s\"") || !strings.Contains(text, `webhook_grace = "0s"`) {
		t.Errorf("the way back:\n%s", text)
	}
	s.Spares = []string{"6", "0 * * * * sat,sun"}
	if !strings.Contains(s.Policy(), "spares_slots=6;0 * * * * sat,sun,spares_hold=10m") {
		t.Error(s.Policy())
	}
}

func TestCautions(t *testing.T) {
	for days, want := range map[float64]string{3: "a whole week was not seen", 7: "once or twice", 13.9: "", 30: ""} {
		got := strings.Join(Facts{Days: days}.unseen(), " ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%.1f days: %q, want %q", days, got, want)
		}
	}
}
