package scaling

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Spares are how many free slots are to stand ready, and when: a policy as users
// of GitLab's autoscaler know it.
type Spares struct {
	Periods []Period       // at any of them; none: always
	Zone    *time.Location // whose wall clock they go by
	Slots   int
}

// ParseSpares reads a policy: how many slots, and the period in cron's words; without
// one it is always so. "6 * 8-18 * * mon-fri" are six in working hours.
func ParseSpares(text string, zone *time.Location) (Spares, error) {
	words := strings.Fields(text)
	count, period := "", ""
	if len(words) > 0 {
		count, period = words[0], strings.Join(words[1:], " ")
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > MostSpares {
		return Spares{}, fmt.Errorf("%q: it begins with a number of slots, from 0 to %d", text, MostSpares)
	}
	s := Spares{Zone: zone, Slots: n}
	if period != "" {
		p, err := ParsePeriod(period)
		if err != nil {
			return Spares{}, err
		}
		s.Periods = []Period{p}
	}
	return s, nil
}

// MostSpares is far more than any fleet has slots.
const MostSpares = 1_000_000

// Schedule is a list of policies of which the last that matches wins, as with
// GitLab's autoscaler.
type Schedule []Spares

// At is how many slots are to stand ready at a time.
func (s Schedule) At(now time.Time) int {
	for n := len(s) - 1; n >= 0; n-- {
		if s[n].matches(now) {
			return s[n].Slots
		}
	}
	return 0
}

func (s Spares) matches(now time.Time) bool {
	if s.Zone != nil {
		now = now.In(s.Zone)
	}
	for _, p := range s.Periods {
		if p.Contains(now) {
			return true
		}
	}
	return len(s.Periods) == 0
}

// Period is a set of minutes in cron's words: minute, hour, day of the month,
// month, day of the week.
type Period struct {
	fields [5]uint64 // a bit for each value
	// Where neither is "*", cron takes the day of the month or that of the week.
	eitherDay bool
}

// cronField is one of the five.
type cronField struct {
	name        string
	least, most int
	names       []string // of the values from least on
}

var cronFields = [5]cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// ParsePeriod reads five fields as cron has them: *, 7, 8-18, */15, 1,15 and
// mon-fri.
func ParsePeriod(text string) (Period, error) {
	words := strings.Fields(text)
	if len(words) != len(cronFields) {
		return Period{}, fmt.Errorf("period %q: %d fields; it has five: minute, hour, day of the month, month, day of the week", text, len(words))
	}
	var p Period
	for n, word := range words {
		bits, err := cronFields[n].parse(strings.ToLower(word))
		if err != nil {
			return Period{}, fmt.Errorf("period %q: %s: %w", text, cronFields[n].name, err)
		}
		p.fields[n] = bits
	}
	p.fields[4] |= p.fields[4] >> 7 & 1 // 7 is Sunday too
	p.eitherDay = words[2] != "*" && words[4] != "*"
	return p, nil
}

func (f cronField) parse(word string) (uint64, error) {
	var bits uint64
	for part := range strings.SplitSeq(word, ",") {
		values, step, stepped := strings.Cut(part, "/")
		every := 1
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 || n > f.most {
				return 0, fmt.Errorf("%q: a step is a number from 1 to %d", part, f.most)
			}
			every = n
		}
		low, high, err := f.span(values, stepped)
		if err != nil {
			return 0, err
		}
		for v := low; v <= high; v += every {
			bits |= 1 << v
		}
	}
	return bits, nil
}

// span is the range that a part names; an open one, as in 5/10, goes to the end.
func (f cronField) span(values string, open bool) (low, high int, err error) {
	if values == "*" {
		return f.least, f.most, nil
	}
	from, to, ranged := strings.Cut(values, "-")
	if low, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if high, err = f.value(to); err != nil {
			return 0, 0, err
		}
	case open:
		high = f.most
	default:
		high = low
	}
	if low > high {
		return 0, 0, errors.New(values + ": from later to earlier; name both parts with a comma")
	}
	return low, high, nil
}

func (f cronField) value(text string) (int, error) {
	for n, name := range f.names {
		if text == name {
			return f.least + n, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.least || v > f.most {
		return 0, fmt.Errorf("%q is no number from %d to %d", text, f.least, f.most)
	}
	return v, nil
}

// Contains tells whether a time, by its own zone's wall clock, is in the period.
func (p Period) Contains(t time.Time) bool {
	has := func(field, value int) bool { return p.fields[field]&(1<<value) != 0 }
	day, week := has(2, t.Day()), has(4, int(t.Weekday()))
	days := day && week
	if p.eitherDay {
		days = day || week
	}
	return has(0, t.Minute()) && has(1, t.Hour()) && has(3, int(t.Month())) && days
}
