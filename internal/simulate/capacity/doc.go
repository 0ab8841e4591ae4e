// Package capacity plays a trace of jobs on a fleet whose capacity a policy
// decides: Shoal's own decisions, the very functions of package scaling that run
// on an instance, or a peer's, drawn after its documentation.
//
// It models what decides about waiting and paying and nothing else: how long an
// instance takes from its launch to its first poll, when each runner polls, what
// its queue gauge showed when it was last given a job, when a daemon reads it,
// the group's bounds, throttled calls, and spot interruptions. It guarantees that
// a run depends on its arguments alone, that no job is forgotten, and that its
// cost grows with what happens, not with the time that passes: a reading that
// can decide nothing is jumped over. What a run was like over time is recorded for
// who asks, in a bounded number of moments (Timeline).
//
// Faults and the machines' own steps are left to package simulate, which lives
// them through one by one. The policy shoal:machines=on is played by it, and holds this
// model's short cut to account; test/e2e holds it against the emulator.
package capacity
