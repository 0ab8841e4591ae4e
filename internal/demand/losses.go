package demand

import (
	"sync"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// losses are the events that found no room in a group's queue, by their projects: the
// machine may never have heard of one, and asks GitLab only for those that it knows.
// They wait beside the queue, which is full, until the machine takes its next event.
type losses struct {
	mu       sync.Mutex
	some     bool
	projects map[int64]struct{}
}

// lossesMost bounds the projects; of one that is not kept the machine is told that
// events of any were lost.
const lossesMost = 1000

// note keeps what there is to ask for in an event's place.
func (l *losses) note(e life.Event) {
	project := missed(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.some = true
	if project == 0 || len(l.projects) >= lossesMost {
		return
	}
	if l.projects == nil {
		l.projects = map[int64]struct{}{}
	}
	l.projects[project] = struct{}{}
}

// missed is the project to ask for once an event is lost; 0 where those that are known
// will do. The end of a job is told to all groups: the one that counted it knows its
// project, and it is no reason for the others to ask.
func missed(e life.Event) int64 {
	switch e := e.(type) {
	case life.JobEvent:
		if e.Job.State != fleet.JobFinished {
			return e.Job.Project
		}
	case life.EventsLost:
		return e.Project
	}
	return 0
}

// take returns what the machine is to be told, and forgets it.
func (l *losses) take() []life.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.some {
		return nil
	}
	told := make([]life.Event, 0, len(l.projects)+1)
	for project := range l.projects {
		told = append(told, life.EventsLost{Project: project})
	}
	l.some, l.projects = false, nil
	return append(told, life.EventsLost{})
}
