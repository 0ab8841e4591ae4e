package scaling_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// forecasts are settings under which a launch takes 90 s, and a stage has to begin
// within it in half of all cases.
var forecasts = scaling.ForecastSettings{Most: 0.5, Confidence: 0.5, Waste: 1, Samples: 5, Launch: 90 * time.Second, Stay: 3 * time.Minute}

// building is a pipeline of two jobs that build, four that test, and one that deploys.
func building(pipeline int64) (build, test, deploy []scaling.ForecastJob) {
	job := func(n int64, stage, name string) scaling.ForecastJob {
		return scaling.ForecastJob{ID: 100*pipeline + n, Project: 7, Pipeline: pipeline, Stage: stage, Name: name}
	}
	build = []scaling.ForecastJob{job(0, "build", "compile"), job(1, "build", "lint")}
	for n := range int64(4) {
		test = append(test, job(2+n, "test", fmt.Sprintf("rspec %d/4", n+1)))
	}
	return build, test, []scaling.ForecastJob{job(6, "deploy", "deploy")}
}

// each tells of several jobs at once.
func each(tell func(scaling.ForecastJob, time.Time), jobs []scaling.ForecastJob, now time.Time) {
	for _, j := range jobs {
		tell(j, now)
	}
}

// begin creates a pipeline whose first stage runs.
func begin(f *scaling.Forecast, pipeline int64, now time.Time) (build, test, deploy []scaling.ForecastJob) {
	build, test, deploy = building(pipeline)
	each(f.Created, slices.Concat(deploy, build, test), now)
	each(f.Pending, build, now)
	each(f.Started, build, now)
	return build, test, deploy
}

// pass lets a stage end and the next one begin.
func pass(f *scaling.Forecast, stage, next []scaling.ForecastJob, now time.Time) {
	each(f.Ended, stage, now)
	each(f.Pending, next, now)
	each(f.Started, next, now)
}

// schooled has seen so many pipelines that build for 200 s, test for 60 and deploy for
// 30.
func schooled(pipelines int64) (*scaling.Forecast, time.Time) {
	f, now := scaling.NewForecast(forecasts), t0
	for p := range pipelines {
		build, test, deploy := begin(f, p, now)
		pass(f, build, test, now.Add(200*time.Second))
		pass(f, test, deploy, now.Add(260*time.Second))
		each(f.Ended, deploy, now.Add(290*time.Second))
		now = now.Add(10 * time.Minute)
	}
	return f, now
}

// roomFor is a group of two slots an instance, up to ten instances.
func roomFor(jobs, inService int) scaling.Room {
	return scaling.Room{Jobs: jobs, Slots: 2, InService: inService, Max: 10}
}

func TestForecast(t *testing.T) {
	f, now := schooled(8)
	begin(f, 99, now)
	for _, c := range []struct{ after, want int }{
		{0, 0},
		{105, 0},   // it ends in 95 s, and a launch takes 90
		{115, 2},   // four are needed in place of two
		{195, 2},   // they are needed still
		{201, 0},   // longer than any was seen to take: nothing is probable
		{36000, 0}, // nor is it ever
	} {
		got, why := f.Ahead(roomFor(2, 1), now.Add(time.Duration(c.after)*time.Second))
		if got != c.want || got > 0 && !strings.Contains(string(why[0]), `4 jobs of stage "test" begin within 1m30s`) {
			t.Errorf("after %d s: %d slots, want %d: %v", c.after, got, c.want, why)
		}
	}
}

func TestForecastIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scaling.ForecastSettings)
		room   scaling.Room
		want   int
	}{
		"as it is":                           {func(*scaling.ForecastSettings) {}, roomFor(2, 1), 2},
		"switched off":                       {func(s *scaling.ForecastSettings) { s.Most = 0 }, roomFor(2, 1), 0},
		"up to its share of the maximum":     {func(s *scaling.ForecastSettings) { s.Most = 0.1 }, scaling.Room{Jobs: 2, Slots: 1, InService: 2, Max: 10}, 1},
		"too few samples":                    {func(s *scaling.ForecastSettings) { s.Samples = 99 }, roomFor(2, 1), 0},
		"less than half of an instance":      {func(*scaling.ForecastSettings) {}, scaling.Room{Jobs: 2, Slots: 10, InService: 1, Max: 10}, 0},
		"half of an instance":                {func(*scaling.ForecastSettings) {}, scaling.Room{Jobs: 11, Slots: 4, InService: 3, Max: 10}, 1},
		"nothing is known of a group at all": {func(*scaling.ForecastSettings) {}, scaling.Room{}, 0},
	} {
		set := forecasts
		c.change(&set)
		f, now := scaling.NewForecast(set), t0
		for p := range int64(8) {
			build, test, _ := begin(f, p, now)
			pass(f, build, test, now.Add(200*time.Second))
			each(f.Ended, test, now.Add(260*time.Second))
			now = now.Add(10 * time.Minute)
		}
		begin(f, 99, now)
		if got, _ := f.Ahead(c.room, now.Add(150*time.Second)); got != c.want {
			t.Errorf("%s: %d slots, want %d", name, got, c.want)
		}
	}
}

// TestForecastCountsWhatFreesUp: where another pipeline's jobs end by then, theirs are
// the slots.
func TestForecastCountsWhatFreesUp(t *testing.T) {
	f, now := schooled(8)
	begin(f, 99, now)
	_, test, _ := building(98)
	each(f.Pending, test, now.Add(140*time.Second))
	each(f.Started, test, now.Add(140*time.Second)) // four that end in 50 s
	if got, _ := f.Ahead(roomFor(6, 3), now.Add(150*time.Second)); got != 0 {
		t.Errorf("%d slots ahead", got)
	}
}

// TestForecastWaitsForALaunch: a job that waits for an instance begins when that is
// there.
func TestForecastWaitsForALaunch(t *testing.T) {
	f, now := schooled(8)
	build, test, _ := building(99)
	each(f.Created, append(build, test...), now)
	each(f.Pending, build, now)
	for _, c := range []struct{ after, inService, want int }{
		{60, 0, 0},  // 30 s to the launch, 200 to the end
		{150, 0, 0}, // late already: it may begin now, and take its time
	} {
		if got, _ := f.Ahead(roomFor(2, c.inService), now.Add(time.Duration(c.after)*time.Second)); got != c.want {
			t.Errorf("after %d s: %d slots, want %d", c.after, got, c.want)
		}
	}
	short, _ := scaling.NewForecast(forecasts), now
	for p := range int64(8) { // builds of 20 s
		build, test, _ := begin(short, p, now)
		pass(short, build, test, now.Add(20*time.Second))
		each(short.Ended, test, now.Add(time.Minute))
		now = now.Add(10 * time.Minute)
	}
	each(short.Created, append(build, test...), now)
	each(short.Pending, build, now)
	if got, _ := short.Ahead(roomFor(2, 0), now); got != 0 {
		t.Errorf("%d slots ahead for what begins in 110 s", got)
	}
	if got, _ := short.Ahead(roomFor(2, 0), now.Add(25*time.Second)); got != 2 {
		t.Errorf("%d slots ahead for what begins in 85 s", got)
	}
	if got, _ := short.Ahead(roomFor(2, 1), now); got != 2 {
		t.Errorf("%d slots ahead where there is an instance", got)
	}
}

// TestForecastLooksBeyondShortStages: what follows a stage of seconds begins within a
// launch, too.
func TestForecastLooksBeyondShortStages(t *testing.T) {
	set := forecasts
	f, now := scaling.NewForecast(set), t0
	job := func(p, n int64, stage string) scaling.ForecastJob {
		return scaling.ForecastJob{ID: 100*p + n, Pipeline: p, Stage: stage}
	}
	for p := range int64(9) {
		first, second := []scaling.ForecastJob{job(p, 1, "a")}, []scaling.ForecastJob{job(p, 2, "b")}
		var third []scaling.ForecastJob
		for n := range int64(6) {
			third = append(third, job(p, 3+n, "c"))
		}
		each(f.Created, slices.Concat(first, second, third), now)
		each(f.Pending, first, now)
		each(f.Started, first, now)
		if p == 8 { // 30 s, and 20 s
			if got, why := f.Ahead(roomFor(1, 1), now.Add(time.Second)); got != 5 {
				t.Errorf("%d slots, want 5: %v", got, why)
			}
		}
		pass(f, first, second, now.Add(30*time.Second))
		pass(f, second, third, now.Add(50*time.Second))
		each(f.Ended, third, now.Add(80*time.Second))
		now = now.Add(10 * time.Minute)
	}
}

// TestForecastIsJudged: what was raised for is a hit when the stage begins while the
// instances are there, and a waste else; what was not raised for is not told.
func TestForecastIsJudged(t *testing.T) {
	f, now := schooled(8)
	build, test, _ := begin(f, 99, now)
	raised := now.Add(150 * time.Second)
	f.Ahead(roomFor(2, 1), raised)
	f.Raised(2, raised)
	pass(f, build, test, now.Add(200*time.Second))
	want := scaling.Judgement{Project: 7, Pipeline: 99, Stage: "test", Slots: 2, Hit: true, After: 50 * time.Second}
	got := f.Judgements()
	for n := range got {
		if sure := got[n].Sure; math.Abs(sure-64./81) > 1e-9 { // of eight jobs of each name all took so long: (8/9)²
			t.Errorf("%.3f sure, want 64/81", sure)
		}
		got[n].Sure = 0
	}
	if !slices.Equal(got, []scaling.Judgement{want}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	begin(f, 100, now)
	f.Ahead(roomFor(2, 1), raised)
	f.Raised(2, raised)
	f.Ahead(roomFor(2, 1), raised.Add(269*time.Second))
	if got := f.Judgements(); got != nil {
		t.Errorf("judged before a launch and a stay are over: %+v", got)
	}
	f.Ahead(roomFor(2, 1), raised.Add(270*time.Second))
	if got := f.Judgements(); len(got) != 1 || got[0].Hit || got[0].After != 270*time.Second {
		t.Errorf("got %+v, want one waste", got)
	}
	begin(f, 101, now)
	f.Ahead(roomFor(2, 1), raised)
	f.Ahead(roomFor(2, 1), raised.Add(time.Hour))
	if got := f.Judgements(); got != nil {
		t.Errorf("nothing was raised, and judged %+v", got)
	}
}

// TestForecastThatCameTrueMeanwhile: a stage may begin while the group is being raised
// for it.
func TestForecastThatCameTrueMeanwhile(t *testing.T) {
	f, now := schooled(8)
	build, test, _ := begin(f, 99, now)
	f.Ahead(roomFor(2, 1), now.Add(150*time.Second))
	pass(f, build, test, now.Add(151*time.Second))
	f.Raised(2, now.Add(152*time.Second))
	if got := f.Judgements(); got != nil {
		t.Errorf("got %+v", got)
	}
}

// TestManyStagesCountAsTheyAreProbable: of four stages, each of which comes within a
// launch in one of two cases, one counts whole and three as one and a half.
func TestManyStagesCountAsTheyAreProbable(t *testing.T) {
	set := forecasts
	set.Confidence = 0.3
	f, now := scaling.NewForecast(set), t0
	stage := func(p int64) (first scaling.ForecastJob, then []scaling.ForecastJob) {
		for n := range int64(21) {
			then = append(then, scaling.ForecastJob{ID: 100*p + n, Pipeline: p, Stage: "then"})
		}
		first = then[0]
		first.Stage = "first"
		return first, then[1:]
	}
	for p := range int64(19) { // 10 take a minute, 9 an hour
		first, _ := stage(p)
		f.Started(first, now)
		f.Ended(first, now.Add([]time.Duration{time.Minute, time.Hour}[p%2]))
	}
	for p := range int64(4) {
		first, then := stage(100 + p)
		each(f.Created, then, now)
		f.Started(first, now)
	}
	// Each needs 19 slots more, with a probability of 10/20: 19 + 3 × 9.5.
	got, why := f.Ahead(scaling.Room{Jobs: 4, Slots: 1, InService: 4, Max: 200}, now)
	if got != 48 || len(why) != 4 {
		t.Errorf("%d slots, want 48: %v", got, why)
	}
}

// TestForecastIsBelievedNoMore: where the second stage is skipped each time, it is not
// raised for much longer.
func TestForecastIsBelievedNoMore(t *testing.T) {
	f, now := schooled(8)
	raises := 0
	for p := range int64(40) {
		build, test, deploy := begin(f, 100+p, now)
		if got, _ := f.Ahead(roomFor(2, 1), now.Add(150*time.Second)); got > 0 {
			raises++
			f.Raised(got, now.Add(150*time.Second))
		}
		each(f.Ended, build, now.Add(200*time.Second))
		each(f.Dropped, append(test, deploy...), now.Add(200*time.Second))
		now = now.Add(10 * time.Minute)
	}
	if raises < 1 || raises > 12 {
		t.Errorf("raised %d times in vain", raises)
	}
}

// TestForecastWastesLittle: what waited in vain makes it ask for more.
func TestForecastWastesLittle(t *testing.T) {
	set := forecasts
	set.Waste, set.Confidence = 0.01, 0.1
	raises := func(until int64) (n int) {
		r := rand.New(rand.NewPCG(1, 2))
		f, now := scaling.NewForecast(set), t0
		for p := range until {
			build, test, deploy := begin(f, p, now)
			took := time.Duration(60+r.ExpFloat64()*1200) * time.Second
			for at := time.Duration(0); at < took; at += 10 * time.Second {
				if got, _ := f.Ahead(roomFor(2, 1), now.Add(at)); got > 0 {
					n++
					f.Raised(got, now.Add(at))
				}
			}
			now = now.Add(took)
			pass(f, build, test, now)
			pass(f, test, deploy, now.Add(time.Minute))
			each(f.Ended, deploy, now.Add(90*time.Second))
			now = now.Add(10 * time.Minute)
		}
		return n
	}
	first, all := raises(40), raises(400)
	if first == 0 || all-first > 5*first {
		t.Errorf("%d raises in the first 40 pipelines, %d in 400", first, all)
	}
}

// TestForecastProperties: events that are lost, doubled and shuffled break nothing,
// what is said stays within its bounds, and the same events say the same.
func TestForecastProperties(t *testing.T) {
	for seed := range uint64(20) {
		say := func() (out []string) {
			r := rand.New(rand.NewPCG(seed, 5))
			f, now := scaling.NewForecast(forecasts), t0
			tells := []func(scaling.ForecastJob, time.Time){f.Created, f.Pending, f.Started, f.Ended, f.Dropped}
			for n := range 4000 {
				j := scaling.ForecastJob{ID: r.Int64N(300), Project: 7, Stage: string(rune('a' + r.IntN(3))), Name: fmt.Sprintf("job %d/3", r.IntN(3))}
				j.Pipeline = j.ID / 20
				j.ID += int64(n) / 400 * 300
				tells[r.IntN(len(tells))](j, now)
				now = now.Add(time.Duration(r.IntN(20)) * time.Second)
				room := scaling.Room{Jobs: r.IntN(50), Slots: r.IntN(5), InService: r.IntN(9), Max: r.IntN(9)}
				got, why := f.Ahead(room, now)
				if most := int(forecasts.Most * float64(room.Max*max(room.Slots, 1))); got < 0 || got > most {
					t.Fatalf("seed %d, event %d: %d slots, at most %d", seed, n, got, most)
				}
				if got > 0 {
					f.Raised(r.IntN(3)*room.Slots, now)
				}
				out = append(out, fmt.Sprint(got, why, f.Judgements()))
			}
			return out
		}
		if a, b := say(), say(); !slices.Equal(a, b) {
			t.Fatalf("seed %d: the same events say different things", seed)
		}
	}
}

// TestLateEventsAreNone: a job that is gone stays gone.
func TestLateEventsAreNone(t *testing.T) {
	f, now := schooled(8)
	build, test, deploy := building(3)
	each(f.Started, slices.Concat(build, test, deploy), now)
	each(f.Created, slices.Concat(build, test, deploy), now)
	if f.Watching() {
		t.Error("it waits for what has been done long since")
	}
	build, test, deploy = begin(f, 99, now)
	each(f.Created, build, now)
	each(f.Dropped, slices.Concat(build, test, deploy), now)
	each(f.Ended, build, now)
	each(f.Created, deploy, now)
	each(f.Pending, build, now)
	if f.Watching() {
		t.Error("it waits for what was dropped")
	}
}

// TestForecastForgets: an endless stream of pipelines that never end takes bounded
// memory, and so do kinds of jobs without number.
func TestForecastForgets(t *testing.T) {
	f := scaling.NewForecast(forecasts)
	for n := range int64(200_000) {
		j := scaling.ForecastJob{ID: n, Pipeline: n / 3, Stage: fmt.Sprint(n % 3), Name: fmt.Sprint(n)}
		f.Created(j, t0)
		if n%3 == 0 {
			f.Started(j, t0)
			if n%2 == 0 {
				f.Ended(j, t0.Add(time.Minute))
			}
		}
	}
	if pipelines, jobs, kinds := f.Holds(); pipelines > 5000 || jobs > 50_000 || kinds > 4096 {
		t.Errorf("it holds %d pipelines, %d jobs, %d kinds", pipelines, jobs, kinds)
	}
	for n := range int64(20_000) { // of one pipeline, beside a job that stays
		j := scaling.ForecastJob{ID: 300_000 + n, Pipeline: 99_999, Stage: fmt.Sprint(n)}
		if f.Created(j, t0); n > 0 {
			f.Dropped(j, t0)
		}
	}
	if n := f.HoldsStages(); n > 3*5000+500 {
		t.Errorf("it holds %d stages", n)
	}
	f.Ahead(roomFor(0, 0), t0.Add(25*time.Hour))
	if pipelines, jobs, _ := f.Holds(); pipelines != 0 || jobs != 0 || f.Watching() {
		t.Errorf("a day later it holds %d pipelines, %d jobs", pipelines, jobs)
	}
}
