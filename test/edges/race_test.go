//go:build race

package edges_test

import "time"

// held is how many seeds every change is held against, and heldLength how long each
// of them lives: under the race detector a minute takes ten times as long.
const (
	held       = 2
	heldLength = 12 * time.Minute
)
