package boot_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// striker strikes the blows of a schedule: it stands between the instances and the
// services, and sees each request of each.
type striker struct {
	schedule schedule
	fleet    *fleet
	done     context.Context
	stop     context.CancelFunc
	timers   sync.WaitGroup

	mu        sync.Mutex
	boots     []string        // ids, in order
	seen      map[string]int  // requests by machine and operation's target
	completed map[string]bool // termination hooks that were completed, by instance
	excused   map[int64]bool  // jobs that died with gitlab-runner's process
	orphans   int             // runners that GitLab made for one that was killed before it knew
}

func newStriker(s schedule) *striker {
	k := &striker{schedule: s, seen: map[string]int{}, completed: map[string]bool{}, excused: map[int64]bool{}}
	k.done, k.stop = context.WithCancel(context.Background())
	return k
}

// end stops the striking; what comes afterwards is not disturbed.
func (k *striker) end() {
	k.mu.Lock()
	k.stop() // no more timers
	k.mu.Unlock()
	k.timers.Wait()
}

// between puts the striker between a machine that boots and its services.
func (k *striker) between(f *fleet, id string, services map[string]http.Handler) map[string]http.Handler {
	k.mu.Lock()
	k.fleet = f
	k.boots = append(k.boots, id)
	number := len(k.boots) - 1
	for _, b := range k.schedule.blows {
		if b.machine == number && b.operation == "" && k.done.Err() == nil {
			k.timers.Go(func() { k.later(b, id) })
		}
	}
	k.mu.Unlock()
	services = maps.Clone(services)
	for address, h := range services {
		services[address] = k.face(id, number, h)
	}
	return services
}

// later strikes at a time.
func (k *striker) later(b *blow, id string) {
	timer := time.NewTimer(b.after)
	defer timer.Stop()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for came := timer.C; ; came = ticker.C {
		select {
		case <-came:
			if k.runs(b, id) {
				k.strike(b, id)
				return
			}
		case <-k.done.Done():
			return
		}
	}
}

// runs tells whether the unit has a process now.
func (k *striker) runs(b *blow, id string) bool {
	m := k.fleet.find(id)
	return m != nil && m.leader() != 0 && m.pid(b.unit) != 0
}

// face passes a machine's requests on, and strikes in the middle of those that the
// schedule names. Who asked gets no answer then, but for gitlab-runner where another
// is killed: it would lose a job that it was just given, which is no kill's doing.
func (k *striker) face(id string, number int, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation, form := asked(r)
		heard := func() { k.note(operation, form) }
		b := k.due(number, operation)
		if b != nil && !k.runs(b, id) {
			b = nil // another unit asked: the blow waits for the next
		}
		switch {
		case b == nil:
			h.ServeHTTP(&listener{ResponseWriter: w, ok: heard}, r)
		case b.unit != life.UnitRunner && ofRunner(operation):
			if !b.late {
				k.strike(b, id)
			}
			h.ServeHTTP(&listener{ResponseWriter: w, ok: heard}, r)
			if b.late {
				k.strike(b, id)
			}
		default:
			if b.late {
				h.ServeHTTP(&deaf{header: http.Header{}, ok: heard}, r)
			}
			k.strike(b, id)
			panic(http.ErrAbortHandler)
		}
	})
}

// ofRunner tells whether gitlab-runner asks for this, and nobody else.
func ofRunner(operation string) bool { return strings.Contains(operation, " /api/v4/jobs/") }

// asked is what a request is for: an action of AWS with its form, or method and path.
func asked(r *http.Request) (operation string, form url.Values) {
	operation = r.Method + " " + r.URL.Path
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || r.URL.Path != "/" {
		return operation, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return operation, nil // the service finds out the same
	}
	if form, err = url.ParseQuery(string(body)); err != nil {
		return operation, nil
	}
	return form.Get("Action"), form
}

// due is the blow that falls at this request, if any does.
func (k *striker) due(number int, operation string) (due *blow) {
	if k.done.Err() != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	counted := map[string]bool{}
	for _, b := range k.schedule.blows {
		if b.machine != number || b.operation == "" || !strings.Contains(operation, b.operation) {
			continue
		}
		key := k.boots[number] + " " + b.operation
		if !counted[key] {
			counted[key] = true
			k.seen[key]++
		}
		if due == nil && b.fell == "" && k.seen[key] >= b.nth {
			due = b
		}
	}
	return due
}

// note keeps what a request that was answered well has done.
func (k *striker) note(operation string, form url.Values) {
	if operation != "CompleteLifecycleAction" || form.Get("LifecycleHookName") != "terminate" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.completed[form.Get("InstanceId")] = true
}

// strike kills the process now.
func (k *striker) strike(b *blow, id string) {
	k.mu.Lock()
	again := b.fell != ""
	b.fell = "it falls"
	k.mu.Unlock()
	if again {
		return // two requests at once
	}
	result := "it had ended"
	if _, err := k.fleet.find(id).pipe(strikeTime, nil, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", b.unit); err == nil {
		result = hit
	}
	var dead []int64
	if b.unit == life.UnitRunner && result == hit {
		for _, j := range k.fleet.cloud.Records().Jobs {
			if j.Status == world.JobRunning && j.SystemID == life.SystemID(id) {
				dead = append(dead, j.ID)
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b.fell = result
	if result == hit && b.late && strings.HasSuffix(b.operation, "/user/runners") {
		k.orphans++
	}
	for _, j := range dead {
		k.excused[j] = true
	}
}

const (
	hit        = "killed"
	strikeTime = 5 * time.Second // a machine that is going down may not answer
)

// hits is how many processes were killed.
func (k *striker) hits() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.schedule.blows {
		if b.fell == hit {
			n++
		}
	}
	return n
}

// story is what came of each blow.
func (k *striker) story() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, one := range k.schedule.blows {
		fell := one.fell
		if fell == "" {
			fell = "it never came to that"
		}
		b.WriteString("  " + one.String() + ": " + fell + "\n")
	}
	return b.String()
}

// number is the id of a machine by the order of the boots; empty before its boot.
func (k *striker) number(n int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n >= len(k.boots) {
		return ""
	}
	return k.boots[n]
}

// isExcused tells whether a job died with its gitlab-runner.
func (k *striker) isExcused(job int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.excused[job]
}
