//go:build race

package edges_test

// held are the seeds that every change is held against; the race detector takes ten
// times as long.
const held = 1
