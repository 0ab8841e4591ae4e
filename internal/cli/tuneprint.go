package cli

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// tunedText is what a search found, for people.
type tunedText struct {
	strings.Builder
	o     tune.Outcome
	f     tuneFlags
	zone  string // whose clock the trace was played by
	paint palette
}

func (c *call) printTuned(o tune.Outcome, f tuneFlags, zone string) error {
	t := &tunedText{o: o, f: f, zone: zone, paint: newPalette(c.Stdout, c.Environ)}
	t.beginning()
	t.table()
	if o.Verdict == tune.OutOfReach {
		t.outOfReach()
	} else {
		t.recommended()
	}
	t.webhook()
	t.sureness()
	if _, err := io.WriteString(c.Stdout, t.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

func (t *tunedText) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

func (t *tunedText) head(text string) { t.line("\n%s", t.paint.green(text)) }

func (t *tunedText) beginning() {
	o := t.o
	t.line("%d jobs in %.1f days; they would keep %d instances busy at once.", o.Trace.Jobs, o.Trace.Days, o.Trace.Peak)
	t.line("Assumed: %d slots, a launch of %.0f s (±15 %%), a minimum of %d and a maximum of %d instances.",
		o.InForce.Settings.Slots, o.Fleet.Boot+o.Fleet.Init, o.InForce.Settings.Min, o.InForce.Settings.Max)
	t.line("Asked: %s.\n", t.asked())
}

// asked is the goal in words.
func (t *tunedText) asked() string {
	g := t.o.Goal
	var parts []string
	if g.Wait > 0 {
		parts = append(parts, fmt.Sprintf("%s of at most %s", waitName(g.Figure), waitText(g.Wait)))
	} else {
		parts = append(parts, "the shortest "+waitName(g.Figure))
	}
	if g.MaxHours > 0 {
		parts = append(parts, fmt.Sprintf("for at most %s a month", t.cost(g.MaxHours)))
	}
	if g.MaxShare > 0 {
		parts = append(parts, fmt.Sprintf("for at most %.0f %% of what the settings in force cost", 100*g.MaxShare))
	}
	if len(parts) == 1 {
		parts = append(parts, "at the least cost")
	}
	return strings.Join(parts, " ")
}

func waitName(figure string) string {
	switch figure {
	case "mean":
		return "mean wait"
	case "max":
		return "longest wait"
	}
	return figure + " of the waits"
}

func waitText(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return fmt.Sprintf("%.0f s", seconds)
}

// cost is hours, and money where their price is known.
func (t *tunedText) cost(hours float64) string {
	if t.f.price > 0 {
		return fmt.Sprintf("%.0f hours (%.2f)", hours, hours*t.f.price)
	}
	return fmt.Sprintf("%.0f hours", hours)
}

// table is the frontier, with the settings in force.
func (t *tunedText) table() {
	o := t.o
	head := []string{"settings", waitColumn(o.Goal.Figure), "worse half"}
	if o.Goal.Figure != "mean" {
		head = append(head, "mean")
	}
	head = append(head, "hours/month")
	if t.f.price > 0 {
		head = append(head, "cost/month")
	}
	rows := [][]string{append(head, "to now", "")}
	var last *tune.Point
	for n, p := range o.Points {
		mark := t.mark(p)
		again := last != nil && p.Hours == last.Hours && o.Goal.Of(p.Wait) == o.Goal.Of(last.Wait)
		if mark == "" && (!p.Frontier || again) {
			continue
		}
		last = &o.Points[n]
		row := []string{p.Brief, fmt.Sprintf("%.1f", o.Goal.Of(p.Wait)), fmt.Sprintf("%.1f", p.Sure)}
		if o.Goal.Figure != "mean" {
			row = append(row, fmt.Sprintf("%.1f", p.Wait.Mean))
		}
		row = append(row, fmt.Sprintf("%.0f", p.HoursAMonth))
		if t.f.price > 0 {
			row = append(row, fmt.Sprintf("%.2f", p.HoursAMonth*t.f.price))
		}
		rows = append(rows, append(row, fmt.Sprintf("%+.1f%%", 100*(p.Hours/o.InForce.Hours-1)), mark))
	}
	t.WriteString(align(rows, t.paint))
}

func waitColumn(figure string) string {
	if figure == "mean" {
		return "mean wait"
	}
	return figure
}

func (t *tunedText) mark(p tune.Point) string {
	switch o := t.o; {
	case p.Flags == o.InForce.Flags && o.Verdict != tune.OutOfReach:
		return "in force"
	case o.Recommended != nil && p.Flags == o.Recommended.Flags:
		return "recommended"
	case o.Closest != nil && p.Flags == o.Closest.Flags:
		return "closest"
	case p.Flags == o.InForce.Flags:
		return "in force"
	}
	return ""
}

func (t *tunedText) recommended() {
	o, p := t.o, t.o.Recommended
	if o.Verdict == tune.Keep {
		t.head("Keep the settings in force.")
		t.line("Nothing that was tried is clearly better: that is, by 2 %% and in both halves of the trace.")
		if g := o.Goal; g.Wait > 0 && p.Sure > g.Wait {
			t.line("In the worse half %s is %s: a little more than what is asked, which is no reason to pay more.", waitName(g.Figure), waitText(p.Sure))
		}
		return
	}
	t.head("Recommended: " + p.Brief)
	t.mindThePrice()
	month, word := o.InForce.HoursAMonth-p.HoursAMonth, "less"
	if month < 0 {
		month, word = -month, "more"
	}
	t.line("It would have cost %.1f instance hours in place of %.1f: %.1f %% %s, %s a month.", p.Hours, o.InForce.Hours, math.Abs(100*o.Saved), word, t.cost(month))
	if !o.InForce.Kept {
		t.line("The settings in force do not do what is asked: %s is %s in the worse half.", waitName(o.Goal.Figure), waitText(o.InForce.Sure))
	}
	t.changes(p.Changes)
	t.seeIt()
}

// dear is from how many times the cost in force on a recommendation is said to be dear.
const dear = 1.5

// mindThePrice says so where the promise is kept at a price that nobody may have meant.
func (t *tunedText) mindThePrice() {
	o := t.o
	times := o.Recommended.Hours / o.InForce.Hours
	if times < dear {
		return
	}
	t.line("Mind the price: %.1f times what the settings in force cost. --max-cost 100%% asks for what can be had at today's.", times)
	if w := o.WithWebhook; w != nil && w.Hours < o.Recommended.Hours {
		t.line("With a webhook it is %s for %.1f times (see below).", waitText(o.Goal.Of(w.Wait)), w.Hours/o.InForce.Hours)
	}
}

// seeIt is how to play both side by side, or one after the other where they are fleets of
// other kinds.
func (t *tunedText) seeIt() {
	force, best := t.o.InForce, t.o.Recommended
	now, then := "--policy '"+force.Settings.Policy()+"' ", "--policy '"+best.Settings.Policy()+"' "
	file := shellWord(t.f.trace)
	fleet := fmt.Sprintf(" --boot %s --init %s", t.f.Boot, t.f.Init)
	if t.f.SpotMTBF > 0 {
		fleet += fmt.Sprintf(" --spot-mtbf %s", t.f.SpotMTBF)
	}
	if t.f.seeds != usualSeeds {
		fleet += fmt.Sprintf(" --seeds %d", t.f.seeds)
	}
	if hours := func(s tune.Settings) bool { return strings.Contains(strings.Join(s.Spares, ""), " ") }; t.zone != "UTC" && (hours(force.Settings) || hours(best.Settings)) {
		fleet += " --time-zone " + t.zone
	}
	if strings.TrimPrefix(force.Flags, now) == strings.TrimPrefix(best.Flags, then) {
		t.line("\nTo see it: shoal simulate --trace %s %s%s%s", file, now, best.Flags, fleet)
		return
	}
	t.line("\nTo see it:\n  shoal simulate --trace %s %s%s", file, force.Flags, fleet)
	t.line("  shoal simulate --trace %s %s%s", file, best.Flags, fleet)
}

// shellWord is a file's name as a shell takes it; stdin has been read.
func shellWord(name string) string {
	switch {
	case name == "-":
		return "FILE"
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,:@%+-") == "" && !strings.HasPrefix(name, "-"):
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// changes are the settings to change, where each is kept.
func (t *tunedText) changes(changes []tune.Change) {
	for _, place := range []struct{ where, words string }{
		{tune.InConfig, "In shoal.toml, on the instances:"},
		{tune.InWebhook, "In shoal.toml, where the webhook runs (docs/webhook.md):"},
		{tune.InRunner, "In gitlab-runner's configuration (runner.template):"},
	} {
		if text := tune.Snippet(changes, place.where); text != "" {
			t.line("\n%s\n\n%s", place.words, inset(text))
		}
	}
	if flags := groupFlags(changes); flags != "" {
		t.line("\nOf the group:\n\n    aws autoscaling update-auto-scaling-group --auto-scaling-group-name NAME%s", flags)
	}
}

// inset is a text as a document's code.
func inset(text string) string {
	return strings.ReplaceAll("    "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "), "\n    \n", "\n\n")
}

func groupFlags(changes []tune.Change) string {
	text := ""
	for _, c := range changes {
		if c.Where == tune.InGroup {
			text += " --" + c.Key + " " + c.To
		}
	}
	return text
}

func (t *tunedText) outOfReach() {
	o, p := t.o, t.o.Closest
	t.head("Nothing that was tried does what is asked.")
	t.line("The closest is %s: %s is %s, %s in the worse half, for %s a month (%s).",
		p.Brief, waitName(o.Goal.Figure), waitText(o.Goal.Of(p.Wait)), waitText(p.Sure), t.cost(p.HoursAMonth), savedText(o.Saved))
	t.line("A job that finds no free slot waits for a launch, %.0f s, unless an instance stands ready for it. What stands in the way:", o.Fleet.Boot+o.Fleet.Init)
	none := true
	for _, b := range o.Obstacles {
		if !b.Matters {
			continue
		}
		none = false
		enough := ""
		if b.Enough {
			enough = ", which is enough"
		}
		t.line("  If %s: %s%s.", b.If, waitText(b.Figure), enough)
	}
	if none {
		t.line("  Neither the group's maximum, nor how long an instance boots, nor that there is no webhook. Ask for less.")
	}
}

func (t *tunedText) webhook() {
	p := t.o.WithWebhook
	if p == nil {
		return
	}
	t.head("With a webhook (docs/webhook.md)")
	t.line("%s is %s for %s a month (%s): %s.", waitName(t.o.Goal.Figure), waitText(t.o.Goal.Of(p.Wait)),
		t.cost(p.HoursAMonth), savedText(1-p.Hours/t.o.InForce.Hours), p.Brief)
	t.line("It has to be run beside the fleet; --webhook lets it be recommended.")
}

// sureness is what the seeds and the halves say.
func (t *tunedText) sureness() {
	o := t.o
	t.head("How sure that is")
	if best := o.Recommended; best != nil {
		t.line("  %d seeds: %s is %.1f to %.1f s.", o.Seeds, waitName(o.Goal.Figure), best.Least, best.Most)
	}
	for n, h := range o.Halves {
		other := []string{"second", "first"}[n]
		t.line("  Chosen on the %s alone (%s), the %s half has %s for %s: %s.", h.Chosen, h.Settings.Brief(o.InForce.Settings),
			other, waitText(o.Goal.Of(h.Judged.Wait)), savedText(h.Saved), verdictOn(h))
	}
	for _, text := range o.Unseen {
		t.line("  The trace covers %s.", text)
	}
	if !o.Trace.Dated && o.Recommended != nil && strings.Contains(o.Recommended.Brief, "spares_period") {
		t.line("  The trace has seconds for times: its first day is taken for a Monday, and the hours of spares.slots count from its beginning.")
	}
}

// savedText is a share that is saved, in words.
func savedText(share float64) string {
	percent := fmt.Sprintf("%.1f", math.Abs(100*share))
	switch {
	case percent == "0.0":
		return "as much as now"
	case share > 0:
		return percent + " % less than now"
	}
	return percent + " % more than now"
}

// verdictOn is what became of a choice on jobs that it did not see.
func verdictOn(h tune.Half) string {
	switch {
	case !h.Found:
		return "nothing did what is asked on what it saw"
	case h.Kept:
		return "kept, within 10 %"
	}
	return "not kept, and the recommended settings were chosen to hold in both"
}
