package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

func write(rows ...trace.Row) (string, error) {
	var b bytes.Buffer
	w, err := trace.NewWriter(&b)
	for _, r := range rows {
		err = errors.Join(err, w.Write(r))
	}
	err = errors.Join(err, w.Flush())
	return b.String(), err
}

func TestWrite(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 999, time.FixedZone("", 3600))
	got := new(bytes.Buffer)
	w, err := trace.NewWriter(got)
	err = errors.Join(err, w.Write(trace.Row{Created: at, Duration: 173 * time.Millisecond, Pipeline: 1, Stage: 2, Waited: 90 * time.Second, Runner: "r", Name: `a "b", c`}))
	err = errors.Join(err, w.Write(trace.Row{Created: at.Add(time.Second)}), w.Flush())
	const want = "created_at,duration,pipeline,stage,waited,runner,name\n" +
		"2026-03-01T08:00:00Z,0.173,1,2,90,r,\"a \"\"b\"\", c\"\n" +
		"2026-03-01T08:00:01Z,0,,,0,,\n"
	if err != nil || got.String() != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	at := trace.Monday
	for want, row := range map[string]trace.Row{
		"created in 1970":       {Created: time.Unix(0, 0).UTC()},
		"a duration of -1s":     {Created: at, Duration: -time.Second},
		"a wait of 721h":        {Created: at, Waited: 721 * time.Hour},
		"stage 1 of pipeline 0": {Created: at, Stage: 1},
		`runner " x"`:           {Created: at, Runner: " x"},
		`runner "", name "yyy`:  {Created: at, Name: strings.Repeat("y", 300)},
	} {
		if _, err := write(trace.Row{Created: at}, row); err == nil || !strings.Contains(err.Error(), "write trace: line 3: "+want) {
			t.Errorf("%+v: %v, want %q", row, err, want)
		}
	}
}

// FuzzWriteRead: what the writer writes the reader reads, each job as it was.
func FuzzWriteRead(f *testing.F) {
	f.Add(uint64(1), 5, "runner", "a,\"b\"\n")
	f.Add(uint64(2), 0, "", "\xff")
	f.Fuzz(func(t *testing.T, seed uint64, n int, runner, name string) {
		dice := rand.New(rand.NewPCG(seed, 0))
		var rows []trace.Row
		for i := range min(max(n, 1), 50) {
			r := trace.Row{
				Created:  trace.Monday.Add(time.Duration(i) * time.Minute),
				Duration: time.Duration(dice.Int64N(int64(trace.MaxDuration/time.Millisecond)+1)) * time.Millisecond,
				Waited:   time.Duration(dice.Int64N(int64(trace.MaxDuration/time.Millisecond)+1)) * time.Millisecond,
				Runner:   runner, Name: name,
			}
			if dice.IntN(3) > 0 {
				r.Pipeline, r.Stage = 1+dice.IntN(3), dice.IntN(trace.MaxStage+1)
			}
			rows = append(rows, r)
		}
		text, err := write(rows...)
		if err != nil {
			return // a name that no trace can have
		}
		got, err := trace.Read(strings.NewReader(text))
		if err != nil || len(got.Jobs) != len(rows) || !got.Real || !got.Start.Equal(trace.Monday) {
			t.Fatalf("%q: %d jobs, real %v, %v", text, len(got.Jobs), got.Real, err)
		}
		numbers := map[int]int{}
		for i, r := range rows {
			j := got.Jobs[i]
			if _, known := numbers[r.Pipeline]; !known && r.Pipeline > 0 {
				numbers[r.Pipeline] = len(numbers) + 1
			}
			want := trace.Job{
				Created: r.Created.Sub(trace.Monday), Duration: r.Duration, Pipeline: numbers[r.Pipeline], Stage: r.Stage, Waited: r.Waited,
				Runner: min(len(r.Runner), 1), Name: min(len(r.Name), 1),
			}
			if fmt.Sprint(j) != fmt.Sprint(want) {
				t.Fatalf("%+v came back as %+v, want %+v", r, j, want)
			}
		}
	})
}
