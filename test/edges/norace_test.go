//go:build !race

package edges_test

// held are the seeds that every change is held against.
const held = 8
