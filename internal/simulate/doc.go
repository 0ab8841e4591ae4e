// Package simulate lives whole fleets in one deterministic event loop: the
// production machines of package life by the score, on package world, hurt at
// every step by faults that a schedule names.
//
// It guarantees that a run depends on its schedule alone: the same schedule
// gives the same log, byte for byte. Every latency, every order of two things
// that are due at the same instant and every job is a function of the seed and
// of what it is for, never of how often a source was drawn from before; so a
// schedule with one fault less differs only in what follows from that fault.
//
// Beside most fleets runs a reaper (shoal reap), on a host of its own that the log
// calls i00, and hurt like the rest. Beside those whose schedule says so runs the job
// hook's machine.
//
// A [Host] may run the processes in the loop's stead, over what edges it likes;
// all else stays, the judge too. What it runs is its own, and so is whether it
// does so twice alike. test/edges is one.
//
// [Draw] makes a schedule of a seed, [Run] lives it and judges it, [Shrink] drops
// the faults that a broken promise does not need. The judge believes no machine:
// it reads world's records and what the loop itself saw happen. Running many
// seeds at once, printing and files are left to the caller.
package simulate
