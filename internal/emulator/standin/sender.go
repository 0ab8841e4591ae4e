package standin

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// touchEvery is how long a silent job goes without a word to GitLab, which
	// would otherwise take the runner for dead.
	touchEvery = 30 * time.Second
	// minRetry and maxRetry bound the wait between tries of the last report.
	minRetry = 500 * time.Millisecond
	maxRetry = 30 * time.Second
	// maxPiece is how much of a trace one PATCH carries.
	maxPiece = 1 << 20
)

// sender carries a job's trace and its end to GitLab.
type sender struct {
	build   *build
	done    chan struct{}
	stopped sync.WaitGroup

	sent     int       // bytes of the trace that GitLab has
	touched  time.Time // when GitLab last heard of the job
	interval time.Duration
}

func newSender(b *build) *sender {
	s := &sender{build: b, done: make(chan struct{}), touched: time.Now(), interval: b.process.options.Timing.Trace}
	s.stopped.Go(s.loop)
	return s
}

// loop sends the trace piece by piece while the job runs.
func (s *sender) loop() {
	for {
		t := time.NewTimer(s.interval)
		select {
		case <-t.C:
			s.piece()
		case <-s.done:
			t.Stop()
			return
		}
	}
}

// piece sends what is new. It tells whether GitLab has the whole trace; or
// wants no more of it.
func (s *sender) piece() bool {
	data := s.build.trace.from(s.sent)
	if len(data) == 0 {
		s.touch()
		return true
	}
	if len(data) > maxPiece {
		data = data[:maxPiece]
	}
	a := s.build.client.patch(noCancel(), s.build.job.ID, s.build.job.Token, s.sent, data)
	switch a.status {
	case http.StatusAccepted:
		s.sent += len(data)
		s.touched = time.Now()
		s.newInterval(a)
	case http.StatusRequestedRangeNotSatisfiable:
		s.rewind(a)
	}
	if refusesJob(a) {
		s.build.abort(errCanceled)
		return true
	}
	return len(s.build.trace.from(s.sent)) == 0
}

// touch says that a silent job still runs.
func (s *sender) touch() {
	if time.Since(s.touched) < touchEvery {
		return
	}
	s.touched = time.Now()
	if refusesJob(s.build.client.update(noCancel(), s.build.job.ID, jobUpdate{Token: s.build.job.Token, State: stateRunning})) {
		s.build.abort(errCanceled)
	}
}

// newInterval follows the pace that GitLab asks for; tests' own is kept.
func (s *sender) newInterval(a answer) {
	n, err := strconv.Atoi(a.header.Get("X-GitLab-Trace-Update-Interval"))
	if err == nil && n > 0 && s.build.process.options.Timing.Trace == defaultTrace {
		s.interval = time.Duration(n) * time.Second
	}
}

// rewind starts again where GitLab says that its copy ends.
func (s *sender) rewind(a answer) {
	_, end, ok := strings.Cut(a.header.Get("Range"), "-")
	if n, err := strconv.Atoi(end); ok && err == nil && n >= 0 {
		s.sent = n
	}
}

// finish sends the rest of the trace, then how the job ended, until GitLab has
// it or has given the job up.
func (s *sender) finish(state, reason string, code int) {
	close(s.done)
	s.stopped.Wait()
	s.build.trace.flush()
	wait := minRetry
	for !s.piece() || !s.end(state, reason, code) {
		time.Sleep(wait)
		wait = min(2*wait, maxRetry)
	}
}

// end reports the job's end once; true when that is settled.
func (s *sender) end(state, reason string, code int) bool {
	output := s.build.trace.output()
	a := s.build.client.update(noCancel(), s.build.job.ID, jobUpdate{
		Token: s.build.job.Token, State: state, FailureReason: reason, ExitCode: code,
		Checksum: output.Checksum, Output: output,
	})
	switch a.status {
	case http.StatusOK, http.StatusForbidden, http.StatusNotFound:
		return true
	case http.StatusAccepted, failed, http.StatusTooManyRequests:
		return false // 202: GitLab still checks the trace
	}
	return a.status < http.StatusInternalServerError
}
