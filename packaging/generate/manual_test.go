package main

import "testing"

// What packaging/version.sh makes of releases, candidates and builds after them.
func TestFooter(t *testing.T) {
	for version, want := range map[string]string{
		"1.2.3":                                  "shoal 1.2.3",
		"1.2.3~rc.1":                             "shoal 1.2.3~rc.1",
		"1.2.3+14.g0123abcdef":                   "shoal 1.2.3+14",
		"1.2.3+14.g0123abcdef+dirty":             "shoal 1.2.3+14",
		"0.0.0~git20260301120000.0123abc":        "shoal 0.0.0~git20260301120000",
		"0.0.0~git20260301120000.01234567+dirty": "shoal 0.0.0~git20260301120000",
	} {
		if got := footer(version); got != want {
			t.Errorf("footer of %s: got %q, want %q", version, got, want)
		}
	}
}
