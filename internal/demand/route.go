package demand

import (
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// route hands an event to the group whose job it is. It never waits.
func (s *Service) route(j fleet.Job) {
	tags := j.Tags
	j.Tags = nil // they only tell whose it is, and would be most of a queue
	switch {
	case j.State == fleet.JobUnknown:
	case j.State == fleet.JobFinished: // harmless to all but the one that counted it
		for _, g := range s.groups {
			g.put(life.JobEvent{Job: j})
		}
	case s.groups[0].Any:
		s.groups[0].put(life.JobEvent{Job: j})
	case tags != nil:
		s.deliver(s.whose(tags), j)
	case s.GitLab != nil:
		s.lookups.ask(j)
	default:
		s.guess(j)
	}
}

// whose is the group that takes a job with these tags; nil: none of ours.
func (s *Service) whose(tags []string) *Group {
	for _, g := range s.groups {
		if g.Takes(tags) || len(tags) == 0 && g.Name == s.Untagged {
			return g
		}
	}
	return nil
}

// deliver hands an event over; jobs of others are nothing to us.
func (s *Service) deliver(g *Group, j fleet.Job) {
	if g == nil {
		s.metrics.dropped.WithLabelValues(dropForeign).Inc()
		return
	}
	g.put(life.JobEvent{Job: j})
}

// guess has a job whose tags nobody tells be that of a group which takes every job.
func (s *Service) guess(j fleet.Job) {
	for _, g := range s.groups {
		if g.Any {
			g.put(life.JobEvent{Job: j})
			return
		}
	}
	s.metrics.dropped.WithLabelValues(dropUnplaced).Inc()
	if s.unplaced.now() {
		s.Log.Error("cannot tell whose jobs these are", "verb", "webhook", "why", "their events do not tell their tags",
			"error", "set webhook.token, with which GitLab can be asked, or name a group without tags in webhook.groups")
	}
}
