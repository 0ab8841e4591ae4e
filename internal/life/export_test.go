package life

// Kept is a moment that was written down, by a process's own clock.
var Kept = kept
