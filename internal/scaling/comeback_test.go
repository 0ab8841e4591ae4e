package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// launch is one of 90 seconds that begins at so many seconds.
func launch(id string, at int) fleet.Activity {
	start := noon.Add(time.Duration(at) * time.Second)
	return fleet.Activity{InstanceID: id, Description: "Launching a new EC2 instance: " + id, Start: start, End: start.Add(90 * time.Second), Status: "Successful"}
}

func left(id string, at int) fleet.Activity {
	return fleet.Activity{
		InstanceID: id, Description: "Terminating EC2 instance: " + id, Start: noon.Add(time.Duration(at) * time.Second), Status: "InProgress",
		Cause: "At … instance " + id + " was taken out of service in response to a user request, shrinking the capacity from 1 to 0.",
	}
}

func TestComebacks(t *testing.T) {
	replaced, failed, running := left("i-0", 0), launch("i-1", 20), launch("i-2", 40)
	replaced.Cause = "At … an instance was taken out of service in response to an EC2 instance status checks failure."
	failed.Status = "Failed"
	running.End = time.Time{}
	for name, c := range map[string]struct {
		all  []fleet.Activity
		want int
	}{
		"nothing is remembered":  {nil, 0},
		"the first of all":       {[]fleet.Activity{launch("i-2", 0)}, 0},
		"right after a leave":    {[]fleet.Activity{left("i-1", 0), launch("i-2", 20)}, 1},
		"a launch time after it": {[]fleet.Activity{left("i-1", 0), launch("i-2", 90)}, 1},
		"later":                  {[]fleet.Activity{left("i-1", 0), launch("i-2", 91)}, 0},
		"before it":              {[]fleet.Activity{launch("i-2", 0), left("i-1", 10)}, 0},
		"the second time":        {[]fleet.Activity{left("i-0", 0), launch("i-1", 20), left("i-1", 400), launch("i-2", 480)}, 2},
		"the second time, in the order of the API":    {[]fleet.Activity{launch("i-2", 480), left("i-1", 400), launch("i-1", 20), left("i-0", 0)}, 2},
		"another launch has made it good":             {[]fleet.Activity{left("i-0", 0), launch("i-1", 20), launch("i-2", 21)}, 0},
		"two left, two came":                          {[]fleet.Activity{left("i-8", 0), left("i-9", 1), launch("i-1", 20), launch("i-2", 21)}, 1},
		"that one was replaced, and no capacity went": {[]fleet.Activity{replaced, launch("i-2", 20)}, 0},
		"a launch that failed has made nothing good":  {[]fleet.Activity{left("i-0", 0), failed, launch("i-2", 40)}, 1},
		"one's own launch that goes on says nothing":  {[]fleet.Activity{left("i-0", 0), running}, 0},
	} {
		if got := scaling.Comebacks(c.all, "i-2").InRow; got != c.want {
			t.Errorf("%s: %d in a row, want %d", name, got, c.want)
		}
	}
}

// TestComebacksOfAll: whatever the order, each leave is made good by one launch at most.
func TestComebacksOfAll(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		var all []fleet.Activity
		leaves, launches := 0, 0
		for at := 0; at < 3600; at += r.IntN(60) {
			if r.IntN(2) == 0 {
				all = append(all, left(fmt.Sprintf("i-l%d", leaves), at))
				leaves++
			} else {
				all = append(all, launch(fmt.Sprintf("i-%d", launches), at))
				launches++
			}
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		back := 0
		for n := range launches {
			if scaling.Comebacks(all, fmt.Sprintf("i-%d", n)).InRow > 0 {
				back++
			}
		}
		if back > leaves {
			t.Fatalf("seed %d: %d comebacks of %d leaves", seed, back, leaves)
		}
	}
}

// TestPatienceAfterComebacks: a launch time longer, then two, four at most; and a
// launch that hung in its hook for an hour counts as one of five minutes.
func TestPatienceAfterComebacks(t *testing.T) {
	set := scaling.PatienceSettings{Idle: 3 * time.Minute}
	for c, want := range map[scaling.Comeback]time.Duration{
		{InRow: 0, Launch: 90 * time.Second}: 180 * time.Second,
		{InRow: 1, Launch: 90 * time.Second}: 270 * time.Second,
		{InRow: 2, Launch: 90 * time.Second}: 360 * time.Second,
		{InRow: 3, Launch: 90 * time.Second}: 540 * time.Second,
		{InRow: 9, Launch: 90 * time.Second}: 540 * time.Second,
		{InRow: 1, Launch: time.Hour}:        8 * time.Minute,
		{InRow: 1, Launch: -time.Hour}:       180 * time.Second,
	} {
		var p scaling.Patience
		longer := p.Came(c)
		if got := p.For(set); got != want || longer != want-set.Idle {
			t.Errorf("%+v: stays %s, %s longer; want %s", c, got, longer, want)
		}
	}
	var p scaling.Patience
	p.Came(scaling.Comeback{InRow: 1, Launch: time.Minute})
	p.Took(5 * time.Minute)
	if got := p.For(scaling.PatienceSettings{Idle: 3 * time.Minute, Most: time.Hour}); got != 20*time.Minute {
		t.Errorf("what it has learned is longer, and it stays %s", got)
	}
}
