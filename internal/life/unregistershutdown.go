package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The part of Unregister that acts when the whole machine goes down. systemd has
// then told every unit to stop, the runner by SIGQUIT, and waits for it to end:
// what is left to do is to have the jobs reported before somebody's patience
// ends (systemd's, or EC2's), and to unregister what does not come back.
//
// Several such processes may run at once, one for each unit that is stopped:
// each step is harmless when it is done twice.

// shutdownTries bounds the question whether the machine goes down. Each stop of a
// daemon asks it, and a restart must not take long because systemd is busy.
const shutdownTries = 4

// gotShutdown does nothing on an ordinary stop.
func (s *Unregister) gotShutdown(down fleet.Shutdown) {
	if down == fleet.NotGoingDown {
		s.done(Done, "the machine is not going down: nothing to do")
		return
	}
	s.down = down
	s.goTo(unregNotice)
}

// failedShutdown: unknown is no shutdown, as it is no notice.
func (s *Unregister) failedShutdown(f *fleet.Failure) {
	if s.backoff.tries+1 < shutdownTries && !f.Final() {
		s.fails(Warn, "cannot tell whether the machine goes down, trying again", f)
		s.pause(f)
		return
	}
	s.fails(Warn, "cannot tell whether the machine goes down: unknown is no shutdown", f)
	s.done(Done, "nothing done: it is not known whether the machine goes down")
}

// gotOver ends where the drain by notice is over: EC2 switches an instance off as
// soon as its hook is completed, and each question to AWS holds that up. The record
// of the completion is written after it and the file of the registration removed
// after the runner was, so a drain that was killed in between is not taken for one
// that is over. A runner that stays behind is tried again.
func (s *Unregister) gotOver(r *fleet.Registration) {
	if r != nil {
		s.goDown(s.standing)
		return
	}
	s.done(Done, fmt.Sprintf("drained and unregistered already (%s): nothing to do", s.standing.Kind))
}

// goDown begins the drain: as one of its own kind, or with the notice that
// stands. Such a drain has been killed by the shutdown, and takes its full
// course whichever way the machine goes: the instance is to go, or an operator
// wants its runner away.
func (s *Unregister) goDown(standing *fleet.Notice) {
	s.mistaken()
	bound := s.set.PowerOffTimeout
	if s.down == fleet.Reboot {
		bound = s.set.RebootTimeout
	}
	end := s.started.Add(bound)
	if standing != nil {
		s.take(*standing)
		end = s.earlierEnd(end)
	}
	if standing != nil && standing.Kind != fleet.NoticeShutdown {
		s.notice.Deadline = &end
		s.say(Info, fmt.Sprintf("go on with the drain (%s)", s.notice.Kind), s.wayDown(), fleet.Reason(s.notice.Source), s.timeLeft())
		s.goTo(unregInit)
		return
	}
	s.notice = fleet.Notice{Kind: fleet.NoticeShutdown, SeenAt: s.now, Deadline: &end, Source: string(s.wayDown())}
	what := map[bool]string{true: "drain and keep the registration", false: "drain and unregister"}[s.keeps()]
	s.say(Info, what, s.wayDown(), s.timeLeft())
	s.goTo(unregWrite)
}

// earlierEnd is the end by the notice that stands, where that comes first: others
// have no more patience with a process that was killed and run again. A shutdown
// that was cancelled may have left a notice, long over.
func (s *Unregister) earlierEnd(end time.Time) time.Time {
	d := s.notice.Deadline
	stale := s.notice.Kind == fleet.NoticeShutdown && d != nil && s.now.Sub(*d) > deadlineGrace
	if d == nil || stale || end.Before(*d) {
		return end
	}
	return *d
}

func (s *Unregister) wayDown() fleet.Reason {
	return fleet.Reason(fmt.Sprintf("systemd takes the machine down (%s)", s.down))
}

// gotTarget looks whether the group wants an instance gone that is about to
// reboot: its hook would time out in the middle of the drain.
func (s *Unregister) gotTarget(target fleet.LifecycleState) {
	if target == fleet.Terminated {
		s.say(Warn, "the group takes this instance in the middle of its drain", s.timeLeft())
		s.goesAfterAll(fleet.NoticeScaleIn)
	}
	s.goTo(s.drainPhase())
}

// goesAfterAll makes the drain of a reboot one of an instance that does not come
// back: its hook is extended from here on, its runner unregistered.
func (s *Unregister) goesAfterAll(kind fleet.NoticeKind) {
	s.notice.Kind, s.notice.SeenAt = kind, s.now
	s.say(Info, fmt.Sprintf("drain and unregister (%s)", kind), s.wayDown())
}

// keeps tells whether the registration stays, in GitLab and on disk. The notice
// is then taken back at the end: a soft-reboot keeps /run, and init would
// register nothing while it stands.
func (s *Unregister) keeps() bool {
	return s.down == fleet.Reboot && s.notice.Kind == fleet.NoticeShutdown
}
