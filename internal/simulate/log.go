package simulate

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// journal is what a run says: lines where they are wanted, and in every case a
// digest of all that happened, polls among it.
type journal struct {
	wanted bool
	text   []byte
	digest uint64
}

// note takes a fact into the digest.
func (j *journal) note(at time.Duration, what uint64) {
	j.digest = mix(j.digest ^ uint64(at) ^ what<<40 ^ what) //nolint:gosec // bits
}

// line writes one line, and takes what it says into the digest.
func (j *journal) line(at time.Duration, format string, args ...any) {
	j.note(at, textOf(format))
	for _, a := range args {
		j.digest = mix(j.digest ^ printOf(a))
	}
	j.show(at, format, args...)
}

// printOf is a fingerprint of what a line is made of: most lines nobody reads, and
// a text that is not made costs nothing.
func printOf(a any) uint64 {
	switch a := a.(type) {
	case int:
		return uint64(a) //nolint:gosec // bits
	case int64:
		return uint64(a) //nolint:gosec // bits
	case time.Duration:
		return uint64(a) //nolint:gosec // bits
	case string:
		return textOf(a)
	case Kind:
		return textOf(string(a))
	case life.Level:
		return textOf(string(a))
	}
	return textOf(fmt.Sprint(a))
}

// textOf is a text's fingerprint (FNV-1a).
func textOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// show is line for what the digest has already.
func (j *journal) show(at time.Duration, format string, args ...any) {
	if !j.wanted {
		return
	}
	j.text = append(j.text, clock(at)...)
	j.text = append(j.text, ' ')
	mark := len(j.text)
	j.text = fmt.Appendf(j.text, format, args...)
	for i := mark; i < len(j.text); i++ {
		if j.text[i] == '\n' {
			j.text[i] = ' '
		}
	}
	j.text = append(j.text, '\n')
}

// tellOf tells of an event of the world: of jobs', which are many, the digest
// takes what makes them different.
func (j *journal) tellOf(at time.Duration, e world.Event) {
	switch e := e.(type) {
	case world.JobQueued:
		j.note(at, uint64(e.Job)) //nolint:gosec // bits
	case world.JobStarted:
		j.note(at, uint64(e.Job)^uint64(e.Runner)<<32) //nolint:gosec // bits
	case world.JobFinished:
		j.note(at, uint64(e.Job)^textOf(string(e.Status))) //nolint:gosec // bits
	default:
		j.line(at, "world: %s", e.String()[25:]) // without its own time
		return
	}
	if j.wanted {
		j.show(at, "world: %s", e.String()[25:])
	}
}

func clock(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%d:%02d:%02d.%03d", ms/3600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// shows tells whether a text has a token in it: all tokens of this world begin
// as GitLab's do.
func shows(text string) bool {
	return strings.Contains(text, "glrt-") || strings.Contains(text, "glpat-") || strings.Contains(text, "glcbt-")
}

// detail is what the log tells of an action beside its name. It never shows what
// holds a token.
func detail(a life.Action) string {
	switch a := a.(type) {
	case life.SetDesired:
		return fmt.Sprint(a.Desired)
	case life.SetProtection:
		return fmt.Sprint(a.Protected)
	case life.TerminateSelf:
		return fmt.Sprintf("decrement %t", a.Decrement)
	case life.Heartbeat:
		return a.Hook.Hook
	case life.CompleteHook:
		return a.Hook.Hook + " " + string(a.Result)
	case life.DeleteRunnerByID:
		return fmt.Sprint(a.ID)
	case life.SetFlag:
		return fmt.Sprintf("%s %t", a.Flag, a.On)
	case life.StartUnit:
		return a.Unit
	case life.StopUnit:
		return a.Unit
	case life.SignalUnit:
		return a.Unit + " " + a.Signal
	case life.WriteRegistration:
		return fmt.Sprintf("%d runners", len(a.Registration.Runners))
	case life.WriteNotice:
		return string(a.Notice.Kind)
	}
	return ""
}
