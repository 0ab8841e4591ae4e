package history

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// record is what the journal keeps of a job. Times are in milliseconds since 1970,
// durations in milliseconds.
type record struct {
	id, pipeline        int64
	created, started    int64
	ran                 int64
	waited              int64 // below 0: GitLab does not say
	stage, name, runner uint64
	why                 why
}

// why a job is not in the trace.
type why int64

const (
	kept why = iota
	neverRan
	unfinished
	filtered
	odd
)

// packed is a record as the journal has it.
type packed [10]int64

func (r record) pack() packed {
	return packed{r.id, r.pipeline, r.created, r.started, r.ran, r.waited, int64(r.stage), int64(r.name), int64(r.runner), int64(r.why)} //nolint:gosec // the bits of hashes
}

func (p packed) record() record {
	return record{p[0], p[1], p[2], p[3], p[4], p[5], uint64(p[6]), uint64(p[7]), uint64(p[8]), why(p[9])} //nolint:gosec // the bits of hashes
}

// record sorts a job in, and forgets what it is called. A job that is left out tells
// its pipeline's stages all the same.
func (r *run) record(j fleet.PastJob) record {
	out := record{
		id: j.ID, pipeline: j.Pipeline, created: j.Created.UnixMilli(),
		stage: r.salt.hash("stage", j.Project, j.Stage), name: r.salt.hash("name", j.Project, definition(j.Name)),
	}
	switch {
	case !r.filter.tags(j):
		out.why = filtered
	case j.Started.IsZero() && waits(j.Status), !j.Started.IsZero() && (j.Finished.IsZero() || waits(j.Status)):
		out.why = unfinished
	case j.Started.IsZero():
		out.why = neverRan
	case !r.filter.runners(j):
		out.why = filtered
	case !out.times(j):
		out.why = odd
	}
	if j.Runner != 0 {
		out.runner = r.salt.hash("runner", j.Runner, j.Machine)
	}
	return out
}

// waits tells whether a status is one of a job that is not over. A word that is new
// is judged by the times alone.
func waits(status string) bool {
	switch status {
	case "created", "pending", "preparing", "scheduled", "waiting_for_resource", "waiting_for_callback", "running", "canceling":
		return true
	}
	return false
}

// times takes the times over; false where they make no sense. A clock that was set
// may have a job begin before it was created.
func (r *record) times(j fleet.PastJob) bool {
	started := j.Started
	if started.Before(j.Created) {
		started = j.Created
	}
	ran := j.Duration
	if ran < 0 {
		ran = j.Finished.Sub(j.Started)
	}
	if ran < 0 || ran > trace.MaxDuration || started.Sub(j.Created) > latest {
		return false
	}
	r.started, r.ran, r.waited = started.UnixMilli(), ran.Round(time.Millisecond).Milliseconds(), -1
	// It cannot have been in the queue before it was there.
	if most := started.Sub(j.Created); j.Queued >= 0 && j.Queued <= most+queueSlack {
		r.waited = min(j.Queued, most).Round(time.Millisecond).Milliseconds()
	}
	return r.waited <= trace.MaxDuration.Milliseconds()
}

// queueSlack is by how much GitLab's own times may contradict each other: they are
// rounded, each in its way.
const queueSlack = 2 * time.Second

// latest is how long after its creation a job may have begun: with the longest export
// it is within what a trace spans.
const latest = 365 * 24 * time.Hour

// salt makes hashes that nobody can undo or compare once it is gone.
type salt []byte

// saltBytes is as many as the hash has itself.
const saltBytes = sha256.Size

// hash is a name's, never 0. Its kind and number keep equal names of two projects apart.
func (s salt) hash(kind string, number int64, name string) uint64 {
	h := hmac.New(sha256.New, s)
	_, _ = fmt.Fprintf(h, "%s %d %s", kind, number, name) // a hash takes everything
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

// parallel is what GitLab adds to the name of a job that one definition makes several
// of: "rspec 3/20", "deploy: [aws, eu]".
var parallel = regexp.MustCompile(`([\s:]+((\[.*\])|(\d+[\s:/\\]+\d+))){1,3}\s*$`)

// definition is the job's name in .gitlab-ci.yml, as far as its name tells it.
func definition(name string) string { return parallel.ReplaceAllString(name, "") }

// IsPattern tells whether a runner's description can be looked for by it.
func IsPattern(pattern string) bool {
	_, err := path.Match(noPath(pattern), "")
	return err == nil
}

// matches is path.Match, but that * stands for any part: a description is no path.
func matches(pattern, description string) bool {
	fits, _ := path.Match(noPath(pattern), noPath(description)) // the patterns were tried
	return fits
}

func noPath(s string) string { return strings.ReplaceAll(s, "/", "\x1f") }

// filter is which jobs are wanted.
type filter struct{ query Query }

func newFilter(q Query) (filter, error) {
	for _, pattern := range q.Runners {
		if !IsPattern(pattern) {
			return filter{}, &fleet.Failure{Kind: fleet.Invalid, Op: fmt.Sprintf("use --runner %q", pattern), Message: "it is no pattern", Mend: `a runner's id, or its description with * for any part: "ci/*"`}
		}
	}
	return filter{q}, nil
}

func (f filter) tags(j fleet.PastJob) bool {
	return !slices.ContainsFunc(f.query.Tags, func(tag string) bool { return !slices.Contains(j.Tags, tag) })
}

func (f filter) runners(j fleet.PastJob) bool {
	return len(f.query.Runners) == 0 || slices.ContainsFunc(f.query.Runners, func(pattern string) bool {
		return matches(pattern, j.RunnerName) || pattern == strconv.FormatInt(j.Runner, 10)
	})
}
