package simulate

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
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

// line writes one line.
func (j *journal) line(at time.Duration, format string, args ...any) {
	j.note(at, uint64(len(format)))
	j.show(at, format, args...)
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
