//go:build race

package life_test

// raceEnabled makes the long loops short: there is no concurrency in here that
// the detector could look at.
const raceEnabled = true

// stride is the step of loops over every action.
const stride = 5
