package simulate

import "slices"

// Kind is a kind of fault.
type Kind string

// Faults at an effect boundary: they hit the action that the schedule names, or
// the first after it that they can hit.
const (
	KillBefore   Kind = "kill before"   // the process is killed before the effect
	KillAfter    Kind = "kill after"    // after the effect, before its result is told
	Throttled    Kind = "throttled"     // AWS or GitLab ask to wait
	Unavailable  Kind = "unavailable"   // 5xx; nothing took place
	AnswerLost   Kind = "answer lost"   // it took place, and the answer did not come in time
	Slow         Kind = "slow"          // it takes seconds
	Hang         Kind = "hang"          // no answer until the time-out; nothing took place
	StaleListing Kind = "stale listing" // a description that is older than it should be
	Unauthorized Kind = "unauthorized"  // the metadata service answers 401
	Garbage      Kind = "garbage"       // a body that does not parse
	WriteFails   Kind = "write fails"   // no room for this file
	UnitBusy     Kind = "unit busy"     // systemd does not answer
)

// Faults at an event: they hit GitLab's event that the schedule names by how many were
// sent before it.
const (
	EventLost  Kind = "event lost"
	EventTwice Kind = "event twice"
	EventLate  Kind = "event late"
)

// Faults that last.
const (
	AWSThrottles   Kind = "aws throttles"
	AWSAway        Kind = "aws away"
	AWSSlow        Kind = "aws slow"
	AWSStale       Kind = "aws stale"       // listings are old
	HeartbeatsLost Kind = "heartbeats lost" // hooks may time out
	GitLabAway     Kind = "gitlab away"
	GitLabSlow     Kind = "gitlab slow"
	MetadataSick   Kind = "metadata sick" // a share of the requests: 401, 5xx, garbage, hangs
	DiskFull       Kind = "disk full"
	TokenRevoked   Kind = "token revoked" // the shared one; in mode create the one that makes runners
	TokenRotated   Kind = "token rotated" // in GitLab at once, in the secret store later
	EventsLost     Kind = "events lost"   // a share of GitLab's events
	EventsTwice    Kind = "events twice"
	EventsLate     Kind = "events late"
)

// What happens to an instance.
const (
	Spot        Kind = "spot"         // two minutes' notice
	SpotLate    Kind = "late notice"  // the metadata tell of it with less than a minute left
	SpotAgain   Kind = "spot, twice"  // together with a rebalance recommendation and the group's own choice
	Rebalance   Kind = "rebalance"    // a recommendation alone
	Maintenance Kind = "maintenance"  // an instance retirement
	Crash       Kind = "crash"        // gone without a word
	Reboot      Kind = "reboot"       //
	SoftReboot  Kind = "soft-reboot"  // /run stays
	PowerOff    Kind = "power-off"    //
	RunnerKill  Kind = "runner kill"  // gitlab-runner dies by SIGKILL
	RunnerMute  Kind = "runner mute"  // its metrics hang for a while
	RunnerDeaf  Kind = "runner deaf"  // it lives and does not poll, until a reload, a restart, or for good
	ClockJump   Kind = "clock jump"   // the wall clock is set
	UnitRestart Kind = "unit restart" // systemctl restart of the daemons: an upgrade
	UnitBroken  Kind = "unit broken"  // a daemon, or init, dies at each start: for a while, or for good
)

// What an operator does to the group, or it to itself.
const (
	DesiredZero   Kind = "desired 0"
	Refresh       Kind = "refresh"
	Suspend       Kind = "suspend"
	DeleteRunners Kind = "delete runners"
	Standby       Kind = "standby"
	Detach        Kind = "detach"
	ScaleInByHand Kind = "scale in by hand"
	BoundsChange  Kind = "bounds change"
	AZRebalance   Kind = "az rebalance" // the group balances its zones, by itself
)

// Kinds are all kinds, in the order of the documents.
func Kinds() []Kind {
	return []Kind{
		KillBefore, KillAfter, Throttled, Unavailable, AnswerLost, Slow, Hang, StaleListing, Unauthorized, Garbage, WriteFails, UnitBusy,
		AWSThrottles, AWSAway, AWSSlow, AWSStale, HeartbeatsLost, GitLabAway, GitLabSlow, MetadataSick, DiskFull, TokenRevoked, TokenRotated,
		Spot, SpotLate, SpotAgain, Rebalance, Maintenance, Crash, Reboot, SoftReboot, PowerOff, RunnerKill, RunnerMute, RunnerDeaf, ClockJump, UnitRestart, UnitBroken,
		DesiredZero, Refresh, Suspend, DeleteRunners, Standby, Detach, ScaleInByHand, BoundsChange, AZRebalance,
		EventLost, EventTwice, EventLate, EventsLost, EventsTwice, EventsLate,
	}
}

// atEvent tells whether a fault of this kind hits one event.
func (k Kind) atEvent() bool { return k == EventLost || k == EventTwice || k == EventLate }

// ofEvents tells whether a fault of this kind hits events for as long as it lasts.
func (k Kind) ofEvents() bool { return k == EventsLost || k == EventsTwice || k == EventsLate }

// atAction tells whether a fault of this kind hits one action.
func (k Kind) atAction() bool {
	switch k {
	case KillBefore, KillAfter, Throttled, Unavailable, AnswerLost, Slow, Hang, StaleListing, Unauthorized, Garbage, WriteFails, UnitBusy:
		return true
	}
	return false
}

// allBut are all kinds but one.
func allBut(k Kind) []Kind {
	return slices.DeleteFunc(Kinds(), func(o Kind) bool { return o == k })
}
