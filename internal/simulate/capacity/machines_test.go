package capacity_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// TestMachinesAgree plays the example traces twice, by the daemons' own machines and
// by this package's short cut to their decisions: each figure that a policy is judged by
// comes out alike. The machines' init takes three seconds and the group one to react.
func TestMachinesAgree(t *testing.T) {
	files, err := filepath.Glob("../../../docs/traces/*.csv")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	options := map[string]func(o *capacity.Options){
		"": func(*capacity.Options) {},
		"spares=6,spares_period=* 8-18 * * mon-fri": func(*capacity.Options) {},
		"learn=1800s": func(o *capacity.Options) { o.Min, o.Max = 1, 20 },
	}
	for _, file := range files {
		plan := capacity.NewPlan(days(t, file, map[bool]int{true: 2, false: 7}[strings.Contains(file, "monorepo")]))
		for option, change := range options {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".csv")+" "+option, func(t *testing.T) {
				t.Parallel()
				o := usual()
				o.Init = 4 * time.Second
				change(&o)
				machines := played(t, plan, "shoal:machines=on,"+option, o, 3)
				model := played(t, plan, "shoal:"+option, o, 9)
				sameFigures(t, model, machines)
			})
		}
	}
}

// days is the first so many days of a trace: machines take their time.
func days(t *testing.T, name string, n int) trace.Trace {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	whole, err := trace.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	var some []trace.Job
	for _, j := range whole.Jobs {
		if j.Created-whole.Jobs[0].Created < time.Duration(n)*24*time.Hour {
			some = append(some, j)
		}
	}
	return trace.New(whole.Start, some)
}

func played(t *testing.T, plan *capacity.Plan, spec string, o capacity.Options, seeds uint64) capacity.Result {
	t.Helper()
	p, err := capacity.Parse(strings.TrimSuffix(strings.TrimSuffix(spec, ","), ":"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(o); err != nil {
		t.Fatal(err)
	}
	var runs []capacity.Result
	for seed := range seeds {
		runs = append(runs, capacity.Run(plan, p, o, seed, nil))
	}
	return capacity.Median(runs)
}

// sameFigures holds the model's figures against the machines'.
func sameFigures(t *testing.T, model, machines capacity.Result) {
	t.Helper()
	for _, f := range []struct {
		what            string
		model, machines float64
		share, least    float64 // that they may be apart
	}{
		{"jobs", float64(model.Jobs), float64(machines.Jobs), 0, 0},
		{"mean wait", model.Wait.Mean, machines.Wait.Mean, 0.07, 1},
		{"p95", model.Wait.P95, machines.Wait.P95, 0.07, 2},
		{"instance hours", model.InstanceHours, machines.InstanceHours, 0.035, 0},
		{"launches", model.Launches, machines.Launches, 0.05, 3},
		{"launches unused", model.LaunchesUnused, machines.LaunchesUnused, 0.25, 5},
		{"calls", model.APICalls, machines.APICalls, 0.07, 20},
		{"jobs lost", float64(model.JobsLost), float64(machines.JobsLost), 0, 0},
	} {
		t.Logf("%-16s %10.2f, the machines' %10.2f", f.what, f.model, f.machines)
		if apart := math.Abs(f.model - f.machines); apart > max(f.least, f.share*f.machines) {
			t.Errorf("%s: %.2f, and %.2f where the machines play", f.what, f.model, f.machines)
		}
	}
}
