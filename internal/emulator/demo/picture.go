package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// picture is the fleet at one moment, drawn as text.
type picture struct {
	elapsed, duration time.Duration
	phase             string
	slots             int
	records           world.Records
	decisions         []decisionLine
	colour            bool
}

// decisionLine is one decision of one instance.
type decisionLine struct {
	at       time.Duration
	instance string
	verb     string
	text     string
	level    string
}

const (
	goneFor     = 6 * time.Second // a terminated instance stays in the picture for so long
	mostRows    = 12
	mostLines   = 9 // of decisions
	queueBarMax = 24
)

// lines draws the picture, no line wider than width.
func (p picture) lines(width int) []string {
	var out []string
	out = append(out, p.header()...)
	out = append(out, "", p.paint(dim, fmt.Sprintf("%-21s %-18s %-*s %s", "INSTANCE", "STATE", max(p.slots, 5), "SLOTS", "NOTES")))
	out = append(out, p.instances()...)
	out = append(out, "", p.paint(dim, "LATEST DECISIONS"))
	for _, d := range last(p.decisions, mostLines) {
		out = append(out, p.decision(d))
	}
	for i := range out {
		out[i] = cut(out[i], width)
	}
	return out
}

func (p picture) header() []string {
	g := p.records.Groups[0]
	waiting, running, ended := p.counts()
	return []string{
		fmt.Sprintf("%s  %s of about %s   %s", p.paint(bold, "shoal demo"), clock(p.elapsed), clock(p.duration), p.phase),
		fmt.Sprintf("group %s  desired %d  min %d  max %d   jobs: %d done, %d running, %d waiting %s",
			g.Name, g.Desired, g.Min, g.Max, ended, running, waiting, p.paint(yellow, strings.Repeat("▪", min(waiting, queueBarMax)))),
	}
}

func (p picture) counts() (waiting, running, ended int) {
	for _, j := range p.records.Jobs {
		switch {
		case j.Status == world.JobPending:
			waiting++
		case j.Status == world.JobRunning:
			running++
		default:
			ended++
		}
	}
	return waiting, running, ended
}

// instances are the living ones and those that have just gone.
func (p picture) instances() []string {
	busy := map[string]int{}
	for _, j := range p.records.Jobs {
		if j.Status == world.JobRunning {
			busy[j.SystemID]++
		}
	}
	protected := map[string]bool{}
	for _, i := range p.records.Groups[0].Instances {
		protected[i.ID] = i.Protected
	}
	var rows []string
	for _, i := range p.records.Instances {
		if !i.TerminatedAt.IsZero() && p.records.At.Sub(i.TerminatedAt) > goneFor {
			continue
		}
		rows = append(rows, p.instance(i, busy[life.SystemID(i.ID)], protected[i.ID]))
	}
	return last(rows, mostRows)
}

func (p picture) instance(i world.InstanceRecord, busy int, protected bool) string {
	slots := strings.Repeat("■", min(busy, p.slots)) + strings.Repeat("□", max(0, p.slots-busy))
	var notes []string
	if protected {
		notes = append(notes, "protected")
	}
	if !i.SpotNoticeAt.IsZero() {
		notes = append(notes, p.paint(red, "spot interruption"))
	}
	if !i.LeavingAt.IsZero() && i.Reason != "" {
		notes = append(notes, string(i.Reason))
	}
	if !i.Alive() {
		slots = strings.Repeat("·", p.slots)
	}
	pad := strings.Repeat(" ", max(0, 5-p.slots))
	return fmt.Sprintf("%-21s %s %s%s %s", i.ID, p.paint(stateColour(i.State), fmt.Sprintf("%-18s", i.State)), slots, pad, strings.Join(notes, ", "))
}

func (p picture) decision(d decisionLine) string {
	c := ""
	switch d.level {
	case "WARN":
		c = yellow
	case "ERROR":
		c = red
	}
	return fmt.Sprintf("%5s %s %-15s %s", clock(d.at), short(d.instance), d.verb, p.paint(c, d.text))
}

// short is an instance's id, short enough for a column and still unlike others.
func short(id string) string {
	if len(id) > 8 {
		return "i-…" + id[len(id)-5:]
	}
	return id
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func last[T any](all []T, n int) []T { return all[max(0, len(all)-n):] }

// The colours of a terminal.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

func stateColour(s world.State) string {
	switch s {
	case world.InService:
		return green
	case world.Pending, world.PendingWait, world.PendingProceed:
		return yellow
	case world.Terminated:
		return dim
	}
	return ""
}

func (p picture) paint(colour, text string) string {
	if !p.colour || colour == "" || text == "" {
		return text
	}
	return colour + text + reset
}

// cut shortens a line to width columns; colour codes take none. A line that is
// wider than the terminal would wrap, and the picture run down the screen.
func cut(line string, width int) string {
	columns, room, escape := 0, 0, false
	for i, r := range line {
		switch {
		case escape:
			escape = r != 'm'
			continue
		case r == '\x1b':
			escape = true
			continue
		}
		columns++
		if columns == width {
			room = i // the column of the ellipsis, if it comes to that
		}
		if columns > width {
			return line[:room] + "…" + reset
		}
	}
	return line
}
