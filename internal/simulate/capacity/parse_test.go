package capacity_test

import (
	"math"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// TestOptionsThatWouldHang: what comes round again and again has a least value, and an
// idle time of nothing is a peer's, not Shoal's.
func TestOptionsThatWouldHang(t *testing.T) {
	for spec, want := range map[string]string{
		"shoal:period=0s":                "100ms",
		"shoal:saturated_period=1ms":     "100ms",
		"shoal:idle=0s":                  "1s",
		"shoal:spares=6,often":           `"6,often"`,
		"shoal:often":                    "no option=value",
		"shoal:hook=1":                   "on, off",
		"shoal:anticipate=on":            "needs hook=on",
		"shoal:hook=on,confidence=2":     "from 0 to 1",
		"shoal:spares=-1":                "from 0",
		"shoal:spares_period=* 25 * * *": "hour",
		"shoal:spares_slots=6;x * * * *": "begins with a number",
	} {
		if _, err := capacity.Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	for _, spec := range []string{"taskscaler:idle_time=0", "shoal:spares=6,spares_period=* 8-18 * * mon,wed,spares_hold=600", "shoal:learn=0s"} {
		if _, err := capacity.Parse(spec); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	o := usual()
	o.APIRate = math.NaN()
	if o.Validate() == nil {
		t.Error("no number of calls is accepted")
	}
}
