//go:build race

package simulate

// seeds are those that every change is held against; the race detector takes ten
// times as long.
const seeds = 1
