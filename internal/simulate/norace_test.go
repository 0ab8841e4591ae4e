//go:build !race

package simulate

// seeds are those that every change is held against.
const seeds = 12
