//go:build !race

package edges_test

import "time"

// held is how many seeds every change is held against, and heldLength how long each
// of them lives.
const (
	held       = 5
	heldLength = 24 * time.Minute
)
