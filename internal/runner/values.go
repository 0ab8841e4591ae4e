package runner

import (
	"fmt"

	dto "github.com/prometheus/client_model/go"
)

// largest is more than any real count, and small enough that a whole page of
// them cannot overflow a sum.
const largest = 1 << 40

// values reads numbers and remembers the first that cannot be a count: a page
// with one is not believed in anything.
type values struct{ err error }

// of is a metric's value, whatever its type line says.
func (v *values) of(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return v.check(m.GetCounter().GetValue())
	case m.Gauge != nil:
		return v.check(m.GetGauge().GetValue())
	default:
		return v.check(m.GetUntyped().GetValue())
	}
}

// first is the value of a family without labels; 0 when it is absent.
func (v *values) first(mf *dto.MetricFamily) float64 {
	if len(mf.GetMetric()) == 0 {
		return 0
	}
	return v.of(mf.GetMetric()[0])
}

func (v *values) check(x float64) float64 {
	if x >= 0 && x <= largest { // false for NaN
		return x
	}
	if v.err == nil {
		v.err = fmt.Errorf("the page says %v where a count should be", x)
	}
	return 0
}
