package demo

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// burst is what is submitted at one moment.
type burst struct {
	at    time.Duration // since the start
	jobs  []world.JobSpec
	title string
}

// scripts are real shell jobs of a few seconds. Most have children that are no
// shell built-ins, some several at once, some in the background: what a drain
// must let end, and a kill must find.
var scripts = []struct {
	name  string
	lines []string
}{
	{"compile", []string{"sleep 2", "head -c 300000 /dev/zero | sha256sum"}},
	{"unit-tests", []string{"for i in 1 2 3; do sleep 1; echo test $i ok; done"}},
	{"lint", []string{"sleep 1", "seq 1 20000 | sort -rn | tail -3"}},
	{"package", []string{"mkdir -p out && seq 1 5000 > out/list", "tar -cf - out | gzip -c | wc -c", "sleep 2"}},
	{"parallel", []string{"sleep 3 & sleep 2 & wait", "echo both are done"}},
	{"integration", []string{"(sleep 4; date -u) | cat"}},
}

// longJob is what the spot interruption takes: longer than the notice.
var longJob = world.JobSpec{Name: "nightly-soak", Stage: "test", Script: []string{"echo soaking", "sleep 600"}, Variables: noClone}

// noClone keeps a real gitlab-runner from cloning a repository that is not there.
var noClone = []world.Variable{{Key: "GIT_STRATEGY", Value: "none"}}

// The workload, as shares of the duration: a burst, a lull that is long enough
// for instances to leave, and a second burst.
const (
	firstBurst  = 18
	secondBurst = 20
	secondAt    = 0.42
	interruptAt = 0.50 // the second burst runs then
)

func workload(duration time.Duration) []burst {
	return []burst{
		{at: 0, title: "a burst", jobs: jobs(1, firstBurst)},
		{at: share(duration, secondAt), title: "a second burst", jobs: append([]world.JobSpec{longJob}, jobs(2, secondBurst)...)},
	}
}

func share(d time.Duration, s float64) time.Duration { return time.Duration(float64(d) * s) }

func jobs(pipeline int64, n int) []world.JobSpec {
	out := make([]world.JobSpec, n)
	for i := range out {
		s := scripts[i%len(scripts)]
		out[i] = world.JobSpec{PipelineID: pipeline, Name: fmt.Sprintf("%s %d", s.name, i/len(scripts)+1), Stage: "test", Script: s.lines, Variables: noClone}
	}
	return out
}
