package scaling

// Holds is how much a forecast remembers.
func (f *Forecast) Holds() (pipelines, jobs, kinds int) {
	return len(f.courses), f.jobs, len(f.learnt.of)
}

// HoldsStages is how many stages of pipelines it remembers.
func (f *Forecast) HoldsStages() (n int) {
	for _, c := range f.courses {
		n += len(c.legs)
	}
	return n
}
