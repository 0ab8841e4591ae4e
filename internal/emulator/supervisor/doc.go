// Package supervisor runs the units of one emulated instance as real processes:
// a small systemd for the demo and the tests. It reads the very unit files that
// the packages install, so that there is one description of the units, and keeps
// their meaning. A directive whose meaning it does not know is an error, never
// ignored: see honoured and harmless in directives.go.
//
// It guarantees that each unit's processes are its own (a session and an
// environment marker each), that Kill and Shutdown leave none of the instance's
// processes behind, jobs' children among them, and that they die too when the
// program that supervises them is killed.
//
// The stand-in systemctl is Systemctl, which talks to the supervisor of its
// instance. Left out is what no unit of Shoal's uses: sockets, timers, slices,
// templates. Sandboxing, watchdogs and credentials are read and not kept.
package supervisor
