package world

import (
	"regexp"
	"slices"
	"time"
)

// The types of runners.
const (
	TypeInstance = "instance_type"
	TypeGroup    = "group_type"
	TypeProject  = "project_type"
)

// How long after its last contact GitLab calls a runner what.
const (
	onlineFor  = 2 * time.Hour
	staleAfter = 7 * 24 * time.Hour
)

// noSystemID stands for machines that do not tell their system id.
const noSystemID = "<legacy>"

var systemIDForm = regexp.MustCompile(`^[sr]_[0-9a-zA-Z]{12}$`)

// NewRunner is what a runner is made with.
type NewRunner struct {
	Type               string
	GroupID, ProjectID int64
	Description        string
	Tags               []string
	RunUntagged        bool
	Locked             bool
	Paused             bool
	AccessLevel        string        // default not_protected
	MaximumTimeout     time.Duration // 0: none
	MaintenanceNote    string
	Token              string // AddRunner only: the token it shall have
}

// Runner is a runner as the API shows it.
type Runner struct {
	NewRunner
	ID          int64
	Legacy      bool // made with a registration token
	CreatedAt   time.Time
	ContactedAt time.Time // zero: never
	Status      string    // online, offline, stale or never_contacted
	Managers    []Manager // by id
}

// Manager is a machine that a runner's token runs on.
type Manager struct {
	ID          int64
	SystemID    string
	CreatedAt   time.Time
	ContactedAt time.Time
	Status      string
	Version     string
	Platform    string
}

// ManagerInfo is what a machine tells of itself.
type ManagerInfo struct{ Version, Platform string }

// RunnerToken answers what makes or checks a runner.
type RunnerToken struct {
	ID        int64
	Token     string
	ExpiresAt time.Time
}

type runner struct {
	NewRunner
	id          int64
	legacy      bool
	createdAt   time.Time
	contactedAt time.Time
	managers    []*Manager
	queue       string // X-GitLab-Last-Update
}

// AddRunner makes a runner without asking for a token, as its owner does in the
// browser: the pre-made one whose token many machines share.
func (w *World) AddRunner(now time.Time, n NewRunner) RunnerToken {
	w.advance(now)
	return w.newRunner(n, false).token()
}

// CreateRunner is POST /user/runners.
func (w *World) CreateRunner(now time.Time, auth string, n NewRunner) (RunnerToken, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeCreateRunner, ScopeAPI); err != nil {
		return RunnerToken{}, err
	}
	switch {
	case n.Type == "":
		return RunnerToken{}, badRequest("runner_type is missing, runner_type does not have a valid value")
	case n.Type != TypeInstance && n.Type != TypeGroup && n.Type != TypeProject:
		return RunnerToken{}, badRequest("runner_type does not have a valid value")
	case n.Type == TypeGroup && n.GroupID == 0:
		return RunnerToken{}, badRequest("group_id is missing")
	case n.Type == TypeProject && n.ProjectID == 0:
		return RunnerToken{}, badRequest("project_id is missing")
	}
	if err := n.validate(); err != nil {
		return RunnerToken{}, err
	}
	n.Token = ""
	return w.newRunner(n, false).token(), nil
}

// RegisterRunner is POST /runners with a registration token.
func (w *World) RegisterRunner(now time.Time, registration string, n NewRunner) (RunnerToken, error) {
	w.advance(now)
	if w.opt.RegistrationClosed {
		return RunnerToken{}, &HTTPError{Status: 410, Message: "410 Gone - runner registration disallowed"}
	}
	i := slices.IndexFunc(w.lab.registrations, func(t RegistrationToken) bool { return t.Token == registration })
	if i < 0 {
		return RunnerToken{}, &HTTPError{Status: 403, Message: "403 Forbidden - invalid token supplied"}
	}
	if err := n.validate(); err != nil {
		return RunnerToken{}, err
	}
	t := w.lab.registrations[i]
	n.Type, n.GroupID, n.ProjectID, n.Token = t.Type, t.GroupID, t.ProjectID, ""
	return w.newRunner(n, true).token(), nil
}

func (n NewRunner) validate() error {
	switch {
	case len(n.Tags) == 0 && !n.RunUntagged:
		return &HTTPError{Status: 400, Message: "Tags list can not be empty when runner is not allowed to pick untagged jobs"}
	case n.AccessLevel != "" && n.AccessLevel != "not_protected" && n.AccessLevel != "ref_protected":
		return badRequest("access_level does not have a valid value")
	case n.MaximumTimeout != 0 && n.MaximumTimeout < 10*time.Minute:
		return &HTTPError{Status: 400, Message: "Maximum timeout needs to be at least 10 minutes"}
	}
	return nil
}

func (w *World) newRunner(n NewRunner, legacy bool) *runner {
	w.lab.runnerIDs++
	orString(&n.Type, TypeInstance)
	orString(&n.AccessLevel, "not_protected")
	if n.Token == "" {
		n.Token = w.newToken(legacy)
	}
	n.Tags = slices.Clone(n.Tags)
	slices.Sort(n.Tags)
	r := &runner{NewRunner: n, id: w.lab.runnerIDs, legacy: legacy, createdAt: w.now}
	w.lab.runners = append(w.lab.runners, r)
	return r
}

func (w *World) newToken(legacy bool) string {
	if legacy {
		return w.id(20)
	}
	return "glrt-" + w.id(20)
}

func (r *runner) token() RunnerToken { return RunnerToken{ID: r.id, Token: r.Token} }

// VerifyRunner is POST /runners/verify: it checks a runner's token and makes the
// machine one of its managers.
func (w *World) VerifyRunner(now time.Time, token, systemID string, info ManagerInfo) (RunnerToken, error) {
	w.advance(now)
	r, err := w.runnerOf(token)
	if err != nil {
		return RunnerToken{}, err
	}
	if err := w.contact(r, systemID, info); err != nil {
		return RunnerToken{}, err
	}
	return r.token(), nil
}

func (w *World) runnerOf(token string) (*runner, error) {
	for _, r := range w.lab.runners {
		if token != "" && r.Token == token {
			return r, nil
		}
	}
	return nil, forbidden()
}

func (w *World) runnerByID(id int64) (*runner, error) {
	for _, r := range w.lab.runners {
		if r.id == id {
			return r, nil
		}
	}
	return nil, notFound("Runner")
}

// contact notes that a machine was heard of.
func (w *World) contact(r *runner, systemID string, info ManagerInfo) error {
	if systemID == "" {
		systemID = noSystemID
	}
	i := slices.IndexFunc(r.managers, func(m *Manager) bool { return m.SystemID == systemID })
	if i < 0 && systemID != noSystemID && !systemIDForm.MatchString(systemID) {
		return badRequest("system_id is invalid")
	}
	r.contactedAt = w.now
	if i < 0 {
		w.lab.managerIDs++
		r.managers = append(r.managers, &Manager{ID: w.lab.managerIDs, SystemID: systemID, CreatedAt: w.now})
		i = len(r.managers) - 1
	}
	m := r.managers[i]
	m.ContactedAt = w.now
	if info != (ManagerInfo{}) {
		m.Version, m.Platform = info.Version, info.Platform
	}
	return nil
}

// UnregisterRunner is DELETE /runners: the runner of this token, with all its
// managers, whoever else uses it.
func (w *World) UnregisterRunner(now time.Time, token string) error {
	w.advance(now)
	r, err := w.runnerOf(token)
	if err != nil {
		return err
	}
	w.dropRunner(r)
	return nil
}

// DeleteRunner is DELETE /runners/:id.
func (w *World) DeleteRunner(now time.Time, auth string, id int64) error {
	r, err := w.manage(now, auth, id)
	if err != nil {
		return err
	}
	w.dropRunner(r)
	return nil
}

func (w *World) dropRunner(r *runner) {
	w.lab.runners = slices.DeleteFunc(w.lab.runners, func(o *runner) bool { return o == r })
}

// DeleteManager is DELETE /runners/managers.
func (w *World) DeleteManager(now time.Time, token, systemID string) error {
	w.advance(now)
	r, err := w.runnerOf(token)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.managers, func(m *Manager) bool { return m.SystemID == systemID })
	if i < 0 {
		return notFound("Runner Manager")
	}
	r.managers = slices.Delete(r.managers, i, i+1)
	return nil
}

// ResetToken is POST /runners/reset_authentication_token.
func (w *World) ResetToken(now time.Time, token string) (RunnerToken, error) {
	w.advance(now)
	r, err := w.runnerOf(token)
	if err != nil {
		return RunnerToken{}, err
	}
	r.Token = w.newToken(r.legacy)
	return r.token(), nil
}

// ResetTokenByID is POST /runners/:id/reset_authentication_token.
func (w *World) ResetTokenByID(now time.Time, auth string, id int64) (RunnerToken, error) {
	r, err := w.manage(now, auth, id)
	if err != nil {
		return RunnerToken{}, err
	}
	r.Token = w.newToken(r.legacy)
	return r.token(), nil
}

// manage authorizes a change of a runner.
func (w *World) manage(now time.Time, auth string, id int64) (*runner, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeManageRunner, ScopeAPI); err != nil {
		return nil, err
	}
	return w.runnerByID(id)
}

// RunnerUpdate is what PUT /runners/:id may change; nil leaves as it is.
type RunnerUpdate struct {
	Paused, RunUntagged, Locked               *bool
	Description, MaintenanceNote, AccessLevel *string
	Tags                                      *[]string
	MaximumTimeout                            *time.Duration
}

// UpdateRunner is PUT /runners/:id.
func (w *World) UpdateRunner(now time.Time, auth string, id int64, u RunnerUpdate) (Runner, error) {
	r, err := w.manage(now, auth, id)
	if err != nil {
		return Runner{}, err
	}
	n := r.NewRunner
	set(&n.Paused, u.Paused)
	set(&n.RunUntagged, u.RunUntagged)
	set(&n.Locked, u.Locked)
	set(&n.Description, u.Description)
	set(&n.MaintenanceNote, u.MaintenanceNote)
	set(&n.AccessLevel, u.AccessLevel)
	set(&n.Tags, u.Tags)
	set(&n.MaximumTimeout, u.MaximumTimeout)
	if err := n.validate(); err != nil {
		return Runner{}, err
	}
	r.NewRunner = n
	r.tick()
	return r.view(w.now), nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// view is the runner as the API shows it. Managers silent for longer than a
// week are gone, as GitLab removes them.
func (r *runner) view(now time.Time) Runner {
	v := Runner{
		NewRunner: r.NewRunner, ID: r.id, Legacy: r.legacy, CreatedAt: r.createdAt,
		ContactedAt: r.contactedAt, Status: status(r.createdAt, r.contactedAt, now),
	}
	v.Tags = slices.Clone(r.Tags)
	for _, m := range r.managers {
		if s := status(m.CreatedAt, m.ContactedAt, now); s != "stale" {
			c := *m
			c.Status = s
			v.Managers = append(v.Managers, c)
		}
	}
	return v
}

func status(created, contacted, now time.Time) string {
	switch {
	case contacted.IsZero() && now.Sub(created) <= staleAfter:
		return "never_contacted"
	case now.Sub(contacted) > staleAfter:
		return "stale"
	case now.Sub(contacted) > onlineFor:
		return "offline"
	}
	return "online"
}
