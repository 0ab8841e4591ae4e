package edges_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/simulate"
	"github.com/shoal-ci/shoal/internal/world"
)

// site is the place where a fleet's processes run.
type site struct {
	t       testing.TB
	disks   *disks
	params  map[string]string // of the secret store
	bend    func(*agent.Edges, *reap.Edges)
	running sync.WaitGroup
	kick    chan struct{} // something is due earlier than the conductor thinks

	mu    sync.Mutex // guards all below, the fleet and its processes
	fleet *simulate.Fleet
	faces *emulator.Cloud
	runs  map[*simulate.Process]*run
	until time.Time // when the conductor looks again
	over  bool
}

// live lives a schedule. It must be called in a bubble. bend may put another edge in
// the place of one; nil leaves them.
func live(t testing.TB, s simulate.Schedule, most time.Duration, bend func(*agent.Edges, *reap.Edges)) simulate.Result {
	time.Sleep(time.Until(simulate.Begins())) // bubbles begin in the year 2000
	h := &site{
		t: t, bend: bend, kick: make(chan struct{}, 1), runs: map[*simulate.Process]*run{},
		params: map[string]string{}, disks: newDisks(t),
	}
	h.mu.Lock()
	h.fleet = simulate.NewFleet(s, simulate.Options{Log: true}, h, most)
	h.faces = emulator.Faces(emulator.Options{Parameters: h.params}, func(use func(*world.World, time.Time)) { h.fleet.World(use) })
	h.disks.template(h.fleet.Template())
	h.mu.Unlock()
	return h.conduct()
}

// conduct lets time pass until the end of the run.
func (h *site) conduct() simulate.Result {
	timer := time.NewTimer(0)
	for h.advance() {
		timer.Reset(time.Until(h.until))
		select {
		case <-timer.C:
		case <-h.kick:
		}
	}
	h.mu.Lock()
	result := h.fleet.Judge()
	h.over = true
	for p := range h.runs {
		h.Gone(p)
	}
	h.mu.Unlock()
	h.running.Wait()
	h.faces.Close()
	time.Sleep(time.Minute) // what clients left behind sees that nobody waits any longer
	return result
}

func (h *site) advance() (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until, more = h.fleet.Advance(time.Now())
	return more
}

// have gives a process the fleet. A process that is over ends here and now, as one
// does that is killed: nothing that it would do next is done.
func (h *site) have(p *simulate.Process, use func()) {
	if !h.use(p, use) {
		runtime.Goexit()
	}
}

func (h *site) use(p *simulate.Process, use func()) (alive bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || p.Ended() {
		return false
	}
	h.fleet.Now(time.Now())
	use()
	if h.fleet.Due().Before(h.until) {
		select {
		case h.kick <- struct{}{}:
		default: // it is told already
		}
	}
	return !p.Ended()
}

// Begin implements simulate.Host. The caller has the fleet, as in the others.
func (h *site) Begin(p *simulate.Process) {
	r := &run{site: h, p: p, dead: make(chan struct{}), verb: p.Verb()}
	r.number, r.instance = p.Instance()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	h.runs[p] = r
	if p.Asked() { // in the moment before
		r.cancel()
	}
	h.running.Go(r.main)
}

// Interrupt implements simulate.Host.
func (h *site) Interrupt(p *simulate.Process) {
	if r := h.runs[p]; r != nil {
		r.cancel()
	}
}

// Gone implements simulate.Host.
func (h *site) Gone(p *simulate.Process) {
	if r := h.runs[p]; r != nil {
		delete(h.runs, p)
		close(r.dead)
		r.cancel()
	}
}

// Wiped implements simulate.Host.
func (h *site) Wiped(instance int) { h.disks.wipe(instance) }
