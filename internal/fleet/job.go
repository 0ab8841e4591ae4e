package fleet

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// JobState is how far a job has come. It only grows: a job never goes back, and
// one that is tried again is another job.
type JobState int

// The states, in their order.
const (
	JobUnknown  JobState = iota // a status that this version does not know
	JobCreated                  // it will run, or may: nothing waits yet
	JobPending                  // it waits for a runner
	JobRunning                  // it holds a slot
	JobFinished                 // whatever came of it
)

// JobStateOf sorts GitLab's statuses. New versions bring new ones: JobUnknown. A
// job that was skipped, or waits for somebody to start it, may yet become pending
// under the same id, so that it is not finished.
func JobStateOf(status string) JobState {
	switch status {
	case "created", "waiting_for_resource", "waiting_for_callback", "preparing", "scheduled", "manual", "skipped":
		return JobCreated
	case "pending":
		return JobPending
	case "running", "canceling": // its runner is still busy with it
		return JobRunning
	case "success", "failed", "canceled":
		return JobFinished
	}
	return JobUnknown
}

// Job is what GitLab tells of a job.
type Job struct {
	ID       int64
	Project  int64
	Pipeline int64
	Stage    string
	Name     string // of its definition: the same in each pipeline
	State    JobState
	Tags     []string // which a runner must have; nil where that was not told
	// Aside says that it will not run by itself, or was cut short: skipped, manual,
	// cancelled. What is learnt from jobs is not learnt from it.
	Aside bool
}

// JobAside tells that of a status of GitLab's.
func JobAside(status string) bool {
	switch status {
	case "manual", "skipped", "scheduled", "canceled", "canceling":
		return true
	}
	return false
}

// JobList is a project's jobs that wait or run.
type JobList struct {
	Jobs  []Job
	Whole bool // else the list was longer than is read
}

// JobGroup is a group whose runners take certain jobs.
type JobGroup struct {
	Name  string
	Slots int      // of an instance; 0 where it is not said here
	Tags  []string // of its runners
	Any   bool     // it takes every job, tags or none
}

// JobGroupForm is how a JobGroup is written.
const JobGroupForm = `"ci", "ci x6", "ci: docker, linux" or "ci x6: docker, linux": the group, the slots of its instances, the tags of its runners`

var jobGroup = regexp.MustCompile(`^([^:]*?)(?:\s+x([0-9]+))?\s*(?::(.*))?$`)

// mostSlots is far more than an instance can run; a slip of the hand is not.
const mostSlots = 9999

// ParseJobGroup reads a JobGroup. A group's name has no colon in it, by AWS' own
// rule; without tags it takes every job.
func ParseJobGroup(s string) (JobGroup, error) {
	m := jobGroup.FindStringSubmatch(s)
	if m == nil {
		return JobGroup{}, errors.New("allowed are " + JobGroupForm)
	}
	g := JobGroup{Name: strings.TrimSpace(m[1]), Any: !strings.Contains(s, ":")}
	g.Slots, _ = strconv.Atoi(m[2]) // empty: 0; too long: the largest
	switch {
	case g.Name == "" || len(g.Name) > 255:
		return JobGroup{}, errors.New("it begins with the name of an Auto Scaling group")
	case m[2] != "" && (g.Slots < 1 || g.Slots > mostSlots):
		return JobGroup{}, fmt.Errorf("an instance has from 1 to %d slots", mostSlots)
	case g.Any:
		return g, nil
	}
	for tag := range strings.SplitSeq(m[3], ",") {
		if tag = strings.TrimSpace(tag); tag == "" || slices.Contains(g.Tags, tag) {
			return JobGroup{}, errors.New("a tag is empty or stands there twice; without the colon the group takes every job")
		}
		g.Tags = append(g.Tags, tag)
	}
	return g, nil
}

// Takes tells whether the group's runners take a job with these tags; one without
// tags is left to the configuration.
func (g JobGroup) Takes(tags []string) bool {
	if g.Any {
		return true
	}
	for _, t := range tags {
		if !slices.Contains(g.Tags, t) {
			return false
		}
	}
	return len(tags) > 0
}
