package scaling

// Holds is how much a forecast remembers.
func (f *Forecast) Holds() (pipelines, jobs, kinds int) {
	return len(f.courses), f.jobs, len(f.learnt.of)
}
