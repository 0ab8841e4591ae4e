// Package emulator gives a world.World the faces of the services that Shoal
// talks to, over HTTP on loopback and in real time: EC2 Auto Scaling with a
// little of EC2, SSM and Secrets Manager, an instance metadata service for each
// instance, and GitLab with its runners' API and job protocol.
//
// A [Cloud] binds only free ports of 127.0.0.1, needs nothing of the machine but
// the clock, and answers as the real services do: states, bounds, errors with
// their wordings, tokens that expire, polls that are held. Faults are put in by
// a hook ([Cloud.SetFault]). What the world says of instances comes out of
// [Cloud.Events]; making processes of it is left to package supervisor.
//
// It shares no types with the code that it tests: what goes over the wire was
// written down here once more, from the vendors' documentation.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// Options say what a Cloud begins with. The zero value works: an empty account
// and an empty GitLab.
type Options struct {
	World  world.Options
	Groups []world.GroupSpec

	AccessTokens       []world.AccessToken
	RegistrationTokens []world.RegistrationToken
	Runners            []world.NewRunner // pre-made runners, with the token they shall have
	Parameters         map[string]string // SSM parameters by name
	Secrets            map[string]string // Secrets Manager secrets by name

	// PollHold is how long GitLab holds a poll that finds nothing new; 0 means
	// 50 s as recent servers have it, below 0 none.
	PollHold time.Duration
	// EmptyPolls has a held poll end with 204 when a job comes, so that the
	// runner must ask again: what GitLab's front server does. Without it the
	// held poll brings the job, which is harder on whoever cancels polls.
	EmptyPolls bool

	Fault func(Request) Fault // see SetFault

	// NoListen binds no port: only the handlers are there, for tests in virtual time.
	NoListen bool
}

// defaultPollHold is what recent GitLab servers hold a poll for.
const defaultPollHold = 50 * time.Second

// Cloud is a running emulation. Its methods may be called from anywhere.
type Cloud struct {
	opt    Options
	stop   context.CancelFunc
	done   context.Context
	tasks  sync.WaitGroup
	kick   chan struct{} // the world's next time may have changed
	events *mailbox

	aws, lab *face

	mu      sync.Mutex
	world   *world.World
	changed chan struct{}                             // closed when a poll may find something new
	driven  func(func(w *world.World, now time.Time)) // whose world it is; nil: its own
	meta    map[string]*metadata
	fault   func(Request) Fault
	calls   map[string]int
	hooks   []*hook
	past    history
	polls   int // held now
	closed  bool
}

// Start makes a Cloud and sets it going. It must be closed.
func Start(opt Options) (*Cloud, error) {
	if opt.PollHold == 0 {
		opt.PollHold = defaultPollHold
	}
	c := &Cloud{
		opt: opt, kick: make(chan struct{}, 1), events: newMailbox(), world: world.New(opt.World, time.Now()),
		changed: make(chan struct{}), meta: map[string]*metadata{}, fault: opt.Fault, calls: map[string]int{},
	}
	c.done, c.stop = context.WithCancel(context.Background())
	c.aws, c.lab = newFace(c.awsHandler()), newFace(c.gitlabHandler())
	if err := errors.Join(c.listen(c.aws), c.listen(c.lab), c.furnish()); err != nil {
		c.Close()
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	c.tasks.Go(c.sleepAndAdvance)
	c.tasks.Go(func() { c.events.deliver(c.done) })
	return c, nil
}

// Faces are the handlers alone, over a world that somebody else has and lets time
// pass in: do gives it out. They do nothing by themselves, and hold nothing while
// they do something; nothing comes out of Events, and no fault is put in. Of the
// options only Parameters and Secrets count, which may change between requests.
func Faces(opt Options, do func(func(w *world.World, now time.Time))) *Cloud {
	c := &Cloud{opt: opt, driven: do, changed: make(chan struct{}), meta: map[string]*metadata{}, calls: map[string]int{}}
	c.opt.NoListen = true
	c.done, c.stop = context.WithCancel(context.Background())
	c.aws, c.lab = newFace(c.awsHandler()), newFace(c.gitlabHandler())
	return c
}

func (c *Cloud) furnish() (err error) {
	c.Do(func(w *world.World, now time.Time) {
		for _, t := range c.opt.AccessTokens {
			w.AddAccessToken(t)
		}
		for _, t := range c.opt.RegistrationTokens {
			w.AddRegistrationToken(t)
		}
		for _, r := range c.opt.Runners {
			w.AddRunner(now, r)
		}
		for _, g := range c.opt.Groups {
			err = errors.Join(err, w.CreateGroup(now, g))
		}
	})
	return err
}

// Close ends everything: listeners, polls in flight, the events' channel. It may
// be called again.
func (c *Cloud) Close() {
	c.mu.Lock()
	already := c.closed
	c.closed = true
	faces := []*face{c.aws, c.lab}
	for _, m := range c.meta {
		faces = append(faces, m.face)
	}
	c.mu.Unlock()
	if already {
		return
	}
	for _, f := range faces {
		f.close() // before the requests are told to end, or their clients would get half answers
	}
	c.stop()
	c.tasks.Wait()
	for _, h := range c.hooks {
		h.client.CloseIdleConnections()
	}
}

// Do calls f with the world and the time, and nobody else has the world
// meanwhile. f must not call methods of the Cloud.
func (c *Cloud) Do(f func(w *world.World, now time.Time)) {
	if c.driven != nil {
		c.driven(f)
		return
	}
	c.mu.Lock()
	now := time.Now()
	c.publish(c.world.Advance(now)) // what was due comes before what f does
	f(c.world, now)
	c.publish(c.world.Advance(now))
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default: // it is told already
	}
}

// sleepAndAdvance lets happen what happens by itself.
func (c *Cloud) sleepAndAdvance() {
	for {
		c.mu.Lock()
		c.publish(c.world.Advance(time.Now()))
		next := c.world.Next()
		c.mu.Unlock()
		if !c.sleepUntil(next) {
			return
		}
	}
}

func (c *Cloud) sleepUntil(t time.Time) bool {
	var due <-chan time.Time
	if !t.IsZero() {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-c.kick:
	case <-c.done.Done():
		return false
	}
	return true
}

// publish passes events on, and keeps the metadata services in step with them: a
// service is there before anyone hears of its instance. The caller holds mu.
func (c *Cloud) publish(events []world.Event) {
	for _, e := range events {
		switch e := e.(type) {
		case world.InstanceLaunched:
			c.openMetadata(e.ID)
		case world.InstanceDead:
			c.closeMetadata(e.ID)
		case world.JobQueued:
			c.wakePolls()
		}
		c.tellHooks(e)
		c.events.put(e)
	}
}

// wakePolls has held polls look again. The caller holds mu.
func (c *Cloud) wakePolls() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Events is what happens, in order. Nothing is lost to a slow reader, and nothing
// waits for one. The channel is closed by Close.
func (c *Cloud) Events() <-chan world.Event { return c.events.out }

// AutoScalingURL is the endpoint for AWS_ENDPOINT_URL: Auto Scaling, EC2
// DescribeInstances, SSM GetParameter and Secrets Manager GetSecretValue.
func (c *Cloud) AutoScalingURL() string { return c.aws.url }

// GitLabURL is GitLab's address, without a path.
func (c *Cloud) GitLabURL() string { return c.lab.url }

// MetadataURL is the endpoint for AWS_EC2_METADATA_SERVICE_ENDPOINT of one
// instance; empty when its machine is not there. It is refused once the machine
// is dead.
func (c *Cloud) MetadataURL(instanceID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.meta[instanceID]; m != nil {
		return m.face.url
	}
	return ""
}

// AutoScalingHandler is what AutoScalingURL leads to, without a socket.
func (c *Cloud) AutoScalingHandler() http.Handler { return c.aws.handler }

// GitLabHandler is GitLab without a socket.
func (c *Cloud) GitLabHandler() http.Handler { return c.lab.handler }

// MetadataHandler is an instance's metadata service without a socket; nil when
// its machine is not there.
func (c *Cloud) MetadataHandler(instanceID string) http.Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.driven != nil && c.meta[instanceID] == nil { // nobody told of its launch
		c.openMetadata(instanceID)
	}
	if m := c.meta[instanceID]; m != nil {
		return m.face.handler
	}
	return nil
}

// Records is what a judge needs, as of now.
func (c *Cloud) Records() (r world.Records) {
	c.Do(func(w *world.World, now time.Time) { r = w.Records(now) })
	return r
}

// SubmitJob makes a job wait for a runner, and returns its id.
func (c *Cloud) SubmitJob(s world.JobSpec) (id int64) {
	c.Do(func(w *world.World, now time.Time) { id = w.SubmitJob(now, s) })
	return id
}

// Interrupt announces a spot interruption; lead 0 means the world's own.
func (c *Cloud) Interrupt(instanceID string, lead time.Duration) (err error) {
	c.Do(func(w *world.World, now time.Time) { err = w.Interrupt(now, instanceID, lead) })
	return err
}

// Crash kills a machine without a notice.
func (c *Cloud) Crash(instanceID string) (err error) {
	c.Do(func(w *world.World, now time.Time) { err = w.Crash(now, instanceID) })
	return err
}
