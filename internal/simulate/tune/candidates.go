package tune

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// What is tried of each setting. An idle threshold of less than a minute saves little
// more, and launches half as much again; a longer scale_up.blind_after would save by
// having jobs that nobody knows of wait longer.
var (
	idles      = []time.Duration{60 * time.Second, 120 * time.Second, 180 * time.Second, 300 * time.Second, 600 * time.Second, 1800 * time.Second}
	learns     = []time.Duration{10 * time.Minute, 30 * time.Minute}
	saturateds = []time.Duration{time.Second}
	blinds     = []time.Duration{30 * time.Second}
	intervals  = []time.Duration{time.Second, 5 * time.Second}
	holds      = []time.Duration{0, 10 * time.Minute, 30 * time.Minute}
	mins       = []int{0, 1, 2, 3, 5}
	spareSteps = []int{1, 2, 4, 8, 16, 32, 64} // idle instances
)

// usualHold is what spares are begun with.
const usualHold = 10 * time.Minute

// region is what can be tried on a part of the trace, as far as that part tells.
type region struct {
	levels  []int    // idle instances to hold ready
	periods []string // when; "" is always
	peak    int      // instances at once
	days    float64  // of the calendar
}

func regionOf(t trace.Trace, slots int) region {
	r := region{peak: Look(t, slots).Peak, periods: append([]string{""}, periods(t)...), days: calendarDays(t)}
	for _, n := range spareSteps {
		if n <= max(2, r.peak) {
			r.levels = append(r.levels, n)
		}
	}
	return r
}

// calendarDays is how many days a trace touches: a month is reckoned from them, for
// the nights at its ends belong to it.
func calendarDays(t trace.Trace) float64 {
	if len(t.Jobs) == 0 {
		return 1
	}
	first, last := midnight(t.Start.Add(t.Jobs[0].Created)), midnight(t.Start.Add(t.Jobs[len(t.Jobs)-1].Created))
	return last.Sub(first).Hours()/24 + 1
}

// periods are the hours in which most jobs come, in cron's words: of the whole week,
// or of its working days where hardly any come at its end.
func periods(t trace.Trace) []string {
	var hours [24]int
	for _, j := range t.Jobs {
		hours[t.Start.Add(j.Created).Hour()]++
	}
	days := "*"
	if quietWeekends(t) {
		days = "mon-fri"
	}
	var all []string
	for _, share := range []float64{0.95, 0.75} {
		text := fmt.Sprintf("* %s * * %s", window(hours, share), days)
		if text != "* 0-23 * * *" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// quietWeekends tells whether hardly any jobs come on a day at the end of the week: less
// than a quarter of what comes on another day that has any.
func quietWeekends(t trace.Trace) bool {
	const quiet, sees = 0.25, 6 // so many days in a row have one at least
	if calendarDays(t) < sees {
		return false
	}
	jobs := map[time.Time]int{} // of each day
	for _, j := range t.Jobs {
		jobs[midnight(t.Start.Add(j.Created))]++
	}
	var ends, others, endDays, otherDays float64
	last := midnight(t.Start.Add(t.Jobs[len(t.Jobs)-1].Created))
	for day := midnight(t.Start.Add(t.Jobs[0].Created)); !day.After(last); day = day.AddDate(0, 0, 1) {
		n := float64(jobs[day])
		switch d := day.Weekday(); {
		case d == time.Saturday || d == time.Sunday:
			ends, endDays = ends+n, endDays+1
		case n > 0:
			others, otherDays = others+n, otherDays+1
		}
	}
	return ends/endDays < quiet*others/max(1, otherDays)
}

// midnight is where the day of a moment begins on its own clock, as if there were no zones.
func midnight(at time.Time) time.Time {
	y, m, d := at.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// longestWindow is for how many hours spares are worth a schedule: beyond it they may
// as well be there all day.
const longestWindow = 16

// window is the shortest span of hours in which a share of all jobs comes.
func window(hours [24]int, share float64) string {
	total := 0
	for _, n := range hours {
		total += n
	}
	for length := 1; length <= longestWindow; length++ {
		best, from := -1, 0
		for h := range 24 {
			sum := 0
			for k := range length {
				sum += hours[(h+k)%24]
			}
			if sum > best {
				best, from = sum, h
			}
		}
		if float64(best) >= share*float64(total) {
			return hourRange(from, (from+length-1)%24)
		}
	}
	return "0-23"
}

func hourRange(from, to int) string {
	switch {
	case from == to:
		return fmt.Sprint(from)
	case from < to:
		return fmt.Sprintf("%d-%d", from, to)
	case to == 0:
		return fmt.Sprintf("%d-23,0", from)
	}
	return fmt.Sprintf("%d-23,0-%d", from, to)
}

// spares is a policy of spares.slots.
func spares(instances, slots int, period string) []string {
	if instances == 0 {
		return nil
	}
	text := fmt.Sprint(instances * slots)
	if period != "" {
		text += " " + period
	}
	return []string{text}
}

// rung is what is tried first with so many idle instances: some idle times, of each kind
// of instance, with a webhook where there may be one.
func (s *search) rung(level int) []Settings {
	var all []Settings
	for _, b := range s.kinds() {
		for _, idle := range rungIdles(level) {
			b.Idle, b.Spares, b.Hold = idle, spares(level, b.Slots, ""), 0
			if level > 0 {
				b.Hold = usualHold
			}
			all = append(all, b)
		}
	}
	return all
}

// rungIdles are the idle times of a rung: with spares they matter less.
func rungIdles(level int) []time.Duration {
	if level > 0 {
		return []time.Duration{60 * time.Second, 600 * time.Second}
	}
	return []time.Duration{60 * time.Second, 180 * time.Second, 600 * time.Second, 1800 * time.Second}
}

// kinds are the settings in force on each kind of instance, without a webhook and with
// one as far as that is allowed.
func (s *search) kinds() []Settings {
	var all []Settings
	slots := s.in.Slots
	if len(slots) == 0 {
		slots = []int{s.in.InForce.Slots}
	}
	for _, n := range slots {
		b := s.in.InForce
		b.Slots = n
		if !s.onlyWebhook {
			all = append(all, b)
		}
		if s.in.Webhook && !b.Webhook || s.onlyWebhook {
			all = append(all, b.withWebhook(s.in.Fleet, s.stages))
		}
	}
	return all
}

// around are the alternatives to settings, one turned at a time, a list for each.
func (s *search) around(b Settings, r region) [][]Settings {
	var all [][]Settings
	var list []Settings
	try := func(turn func(*Settings)) {
		c := b
		turn(&c)
		list = append(list, c)
	}
	next := func() {
		all = append(all, list)
		list = nil
	}
	level, at := b.level()
	hold := b.Hold
	if len(b.Spares) == 0 {
		hold = usualHold
	}
	for _, n := range near(level) {
		try(func(c *Settings) { c.Spares, c.Hold = spares(n, c.Slots, at), hold })
	}
	for _, period := range r.periods {
		if level > 0 {
			try(func(c *Settings) { c.Spares, c.Hold = spares(level, c.Slots, period), hold })
		}
	}
	try(func(c *Settings) { c.Spares, c.Hold = nil, 0 })
	next()
	if len(b.Spares) > 0 {
		for _, d := range holds {
			try(func(c *Settings) { c.Hold = d })
		}
		next()
	}
	for _, d := range idles {
		try(func(c *Settings) { c.Idle = d })
	}
	next()
	for _, n := range mins {
		if n <= b.Max {
			try(func(c *Settings) { c.Min = n })
		}
	}
	next()
	if r.peak > b.Max { // a lower maximum is never tried: the next month may bring more
		for _, n := range []int{b.Max * 3 / 2, b.Max * 2, b.Max * 3} {
			try(func(c *Settings) { c.Max = n })
		}
		next()
	}
	for _, d := range learns {
		try(func(c *Settings) { c.Learn = d })
	}
	for _, d := range saturateds {
		try(func(c *Settings) { c.Saturated = d })
	}
	for _, d := range blinds {
		try(func(c *Settings) { c.BlindAfter = d })
	}
	for _, d := range intervals {
		try(func(c *Settings) { c.CheckInterval = d })
	}
	next()
	return all
}

// level is how many idle instances settings hold ready at most, and when, where that is
// one policy.
func (s Settings) level() (instances int, period string) {
	for _, text := range s.Spares {
		count, when, _ := strings.Cut(text, " ")
		n, _ := strconv.Atoi(count) // the configuration's check has seen it
		instances = max(instances, (n+s.Slots-1)/s.Slots)
		period = when
	}
	if len(s.Spares) > 1 {
		period = ""
	}
	return instances, period
}

// near are the numbers of idle instances around one.
func near(level int) []int {
	var all []int
	for _, n := range []int{level / 2, level * 3 / 4, level - 1, level + 1, level * 5 / 4, level * 3 / 2} {
		if n > 0 && n != level && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}
