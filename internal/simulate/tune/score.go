package tune

// scored are settings with what counts about them on a part.
type scored struct {
	settings Settings
	halves   [2]Result
	sure     float64 // the figure in the worse half
	hours    float64 // of both halves
	miss     float64 // 1 and less: it does what is asked, in both
	price    float64 // what is to be as little as possible
}

func (x scored) kept() bool { return x.miss <= 1 }

// than tells whether settings are better than others by a share.
func (x scored) than(y scored, by float64) bool {
	switch {
	case x.kept() && y.kept():
		return x.price < y.price*(1-by)
	case !x.kept() && !y.kept():
		return x.miss < y.miss*(1-by)
	}
	return x.kept()
}

func bestOf(list []scored) scored {
	best := list[0]
	for _, x := range list[1:] {
		if x.than(best, 0) {
			best = x
		}
	}
	return best
}

// scores plays settings on both halves of a part. What is asked is measured by what
// those in force cost there.
func (s *search) scores(list []Settings, p Part, seeds int, share float64) ([]scored, error) {
	first, second := p.halves()
	with := append([]Settings{s.in.InForce}, list...)
	a, err := s.figures(with, first, seeds, share/2)
	if err != nil {
		return nil, err
	}
	b, err := s.figures(with, second, seeds, share/2)
	if err != nil {
		return nil, err
	}
	g := s.in.Goal
	all := make([]scored, len(list))
	for n := range list {
		f := [2]Result{a[n+1], b[n+1]}
		x := scored{settings: list[n], halves: f, sure: max(g.Of(f[0].Wait), g.Of(f[1].Wait)), hours: f[0].Hours + f[1].Hours}
		x.miss = max(g.missed(waitsOnly(f[0]), a[0]), g.missed(waitsOnly(f[1]), b[0]), g.missed(s.both(f), s.both([2]Result{a[0], b[0]})))
		x.price = g.price(x.hours, x.sure)
		all[n] = x
	}
	return all, nil
}

// waitsOnly is a result whose cost does not count: a busy half may cost more than a
// quiet one.
func waitsOnly(f Result) Result {
	f.Hours, f.HoursAMonth = 0, 0
	return f
}

// both is the cost of both halves.
func (s *search) both(f [2]Result) Result {
	r := Result{Hours: f[0].Hours + f[1].Hours}
	r.HoursAMonth = r.Hours / (f[0].Hours/nonZero(f[0].HoursAMonth) + f[1].Hours/nonZero(f[1].HoursAMonth))
	return r
}

func nonZero(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}
