package world

import (
	"slices"
	"time"
)

// RunnerFilter chooses runners of a list; zero fields do not choose.
type RunnerFilter struct {
	GroupID, ProjectID int64 // of GET /groups/:id/runners and /projects/:id/runners
	Type, Status       string
	Tags               []string // all of them
	Paused             *bool
}

// Runners lists runners by id. Access needs a token; see AllRunners for judges.
func (w *World) Runners(now time.Time, auth string, f RunnerFilter) ([]Runner, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeAPI, ScopeReadAPI, ScopeManageRunner); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(w.AllRunners(now), func(r Runner) bool { return !f.matches(r) }), nil
}

// matches: a project's list shows the instance's runners and its group's too, a
// group's the instance's not.
func (f RunnerFilter) matches(r Runner) bool {
	switch {
	case f.GroupID != 0 && (r.Type != TypeGroup || r.GroupID != f.GroupID):
		return false
	case f.ProjectID != 0 && r.Type == TypeProject && r.ProjectID != f.ProjectID:
		return false
	case f.Type != "" && r.Type != f.Type:
		return false
	case f.Paused != nil && r.Paused != *f.Paused:
		return false
	case f.Status != "" && r.Status != f.Status:
		return false
	}
	return subset(f.Tags, r.Tags)
}

// AllRunners is every runner by id, for judges and displays.
func (w *World) AllRunners(now time.Time) []Runner {
	w.advance(now)
	out := make([]Runner, 0, len(w.lab.runners))
	for _, r := range w.lab.runners {
		out = append(out, r.view(w.now))
	}
	return out
}

// Runner is GET /runners/:id, with its managers.
func (w *World) Runner(now time.Time, auth string, id int64) (Runner, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeAPI, ScopeReadAPI, ScopeManageRunner); err != nil {
		return Runner{}, err
	}
	r, err := w.runnerByID(id)
	if err != nil {
		return Runner{}, err
	}
	return r.view(w.now), nil
}

// RunnerJobs is GET /runners/:id/jobs, newest first; an empty status means all.
func (w *World) RunnerJobs(now time.Time, auth string, id int64, status JobStatus) ([]Job, error) {
	if _, err := w.Runner(now, auth, id); err != nil {
		return nil, err
	}
	var out []Job
	for _, j := range slices.Backward(w.lab.jobs) {
		if j.RunnerID == id && (status == "" || j.Status == status) {
			out = append(out, j.view())
		}
	}
	return out, nil
}

func subset(want, have []string) bool {
	for _, t := range want {
		if !slices.Contains(have, t) {
			return false
		}
	}
	return true
}
