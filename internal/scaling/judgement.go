package scaling

import (
	"slices"
	"time"
)

// Judgement is what came of a raise ahead of the queue, for one stage of one pipeline.
type Judgement struct {
	Project, Pipeline int64
	Stage             string
	Slots             int           // that were raised for it
	Sure              float64       // how probable it was thought to be
	Hit               bool          // the stage began while the instances were there
	After             time.Duration // the raise
}

// bet is a forecast that is not judged yet. Those that nothing was raised for are
// judged, too: so a kind of stage whose forecasts come true again is believed again.
type bet struct {
	leg    *leg
	at     time.Time
	until  time.Time // an instance that was launched for it has left by then
	slots  int       // that are expected to be needed
	sure   float64
	raised int // slots that were raised for it
}

// trust is how often what was forecast for a kind of stage came true.
type trust struct{ promised, hits float64 }

const (
	// trustPrior is how many forecasts are supposed to have come true at first.
	trustPrior = 3
	// trustKept is after how many forecasts those before count half.
	trustKept = 30
	// judgementsKept bounds those that nobody has asked for.
	judgementsKept = 1000
)

// trusted is how far a forecast for a stage is to be believed: what came true as a
// share of what was promised.
func (f *Forecast) trusted(l *leg) float64 {
	t := f.trust[l.kind()]
	if t == nil {
		return 1
	}
	return min(1, (t.hits+trustPrior)/(t.promised+trustPrior))
}

// wager notes a forecast, to be judged.
func (f *Forecast) wager(l *leg, sure float64, now time.Time) {
	if l.bet == nil {
		l.bet = &bet{leg: l, at: now, slots: l.created, sure: sure, until: now.Add(f.launch() + f.set.Stay)}
		f.bets = append(f.bets, l.bet)
	}
}

// Raised takes in that desired was raised by so many slots more for what the last
// Ahead said: its stages are judged from now on, but for those that have begun since.
func (f *Forecast) Raised(slots int, now time.Time) {
	expected := 0
	for _, l := range f.outlook {
		if l.bet != nil {
			expected += l.bet.slots
		}
	}
	for _, l := range f.outlook {
		if b := l.bet; b != nil {
			b.raise(slots*b.slots/expected, now, f.launch()+f.set.Stay)
		}
	}
}

// raise begins the time within which it has to come true.
func (b *bet) raise(slots int, now time.Time, within time.Duration) {
	if b.raised == 0 {
		b.at, b.until = now, now.Add(within)
	}
	b.raised += max(1, slots)
}

// least is how probable a stage has to be for an instance full of jobs: the more was
// wasted beyond what may be, the surer.
func (f *Forecast) least(r Room) float64 {
	may := f.set.Waste*f.worked + wasteFirst*float64(r.Slots)*(f.launch()+f.set.Stay).Seconds()
	return min(f.set.Confidence*max(1, f.wasted/max(may, 1)), sureEnough)
}

const (
	// wasteFirst is how many instances may be launched in vain at first.
	wasteFirst = 10
	// wasteKept is after how many seconds of jobs what was before counts half: a good
	// month is no leave to waste a day.
	wasteKept = 2000 * 3600
	// sureEnough is what is never asked for more than.
	sureEnough = 0.95
)

// work takes in for how long a job ran.
func (f *Forecast) work(took time.Duration) {
	if f.worked += took.Seconds(); f.worked > wasteKept {
		f.worked, f.wasted = f.worked/2, f.wasted/2
	}
}

// cost is for how long slots waited for what was forecast, in seconds.
func (f *Forecast) cost(b *bet, hit bool, now time.Time) float64 {
	waited := now.Sub(b.at)
	if hit {
		waited = max(0, waited-f.launch())
	}
	return float64(b.raised) * waited.Seconds()
}

// Judgements are those since the last call.
func (f *Forecast) Judgements() []Judgement {
	all := f.judgements
	f.judgements = nil
	return all
}

// settle judges those whose time is over, and forgets what nothing was heard of for long.
func (f *Forecast) settle(now time.Time) {
	for len(f.courses) > 0 && now.Sub(f.courses[0].heard) > courseForgotten {
		f.forget(f.courses[0], now)
	}
	for n := 0; n < len(f.bets); {
		if b := f.bets[n]; !now.Before(b.until) {
			f.judge(b, false, now) // takes it out
			continue
		}
		n++
	}
}

func (f *Forecast) judge(b *bet, hit bool, now time.Time) {
	at := slices.Index(f.bets, b)
	f.bets = slices.Delete(f.bets, at, at+1)
	b.leg.bet = nil
	f.believe(b, hit)
	if b.raised == 0 {
		return
	}
	f.wasted += f.cost(b, hit, now)
	if len(f.judgements) >= judgementsKept {
		f.judgements = slices.Delete(f.judgements, 0, 1)
	}
	j := b.leg.any
	f.judgements = append(f.judgements, Judgement{Project: j.Project, Pipeline: j.Pipeline, Stage: j.Stage, Slots: b.raised, Sure: b.sure, Hit: hit, After: now.Sub(b.at)})
}

// believe takes in whether a forecast came true.
func (f *Forecast) believe(b *bet, hit bool) {
	t := f.trust[b.leg.kind()]
	if t == nil {
		if len(f.trust) >= kindsKept {
			clear(f.trust)
		}
		t = &trust{}
		f.trust[b.leg.kind()] = t
	}
	if t.promised >= trustKept {
		t.promised, t.hits = t.promised/2, t.hits/2
	}
	t.promised += b.sure
	if hit {
		t.hits++
	}
}
