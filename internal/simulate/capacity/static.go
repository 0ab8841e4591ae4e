package capacity

// deaf is a policy that hears nothing; others are built on it.
type deaf struct{}

func (deaf) queued(*engine)          {}
func (deaf) launched(*engine, int32) {}
func (deaf) up(*engine, int32)       {}
func (deaf) filled(*engine, int32)   {}
func (deaf) freed(*engine, int32)    {}
func (deaf) gone(*engine, int32)     {}
func (deaf) noticed(*engine, int32)  {}
func (deaf) due(*engine, *event)     {}
func (deaf) end(*engine)             {}

// beginAtMin has the minimum in service from the start: a fleet that was there
// before the first job.
func (e *engine) beginAtMin() {
	e.desired = e.opt.Min
	for range e.opt.Min {
		e.launchIn(0)
	}
}

// static is a fleet of a fixed size.
type static struct {
	deaf
	instances int // option instances; 0: the group's maximum
}

func (s *static) begin(e *engine) {
	n := s.instances
	if n == 0 {
		n = e.opt.Max
	}
	e.opt.Min, e.opt.Max = n, n
	e.beginAtMin()
}
