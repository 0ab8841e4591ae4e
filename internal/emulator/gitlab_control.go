package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// controlRoutes are the emulator's own, not GitLab's: how other programs submit
// jobs, take instances away and see what became of everything. They ask for no
// token; the emulator listens on loopback only.
func (c *Cloud) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /emulator/jobs", c.controlSubmit)
	mux.HandleFunc("GET /emulator/jobs", c.controlJobs)
	mux.HandleFunc("POST /emulator/jobs/{id}/cancel", c.controlCancel)
	mux.HandleFunc("GET /emulator/instances", c.controlInstances)
	mux.HandleFunc("POST /emulator/instances/{id}/interrupt", c.controlInterrupt)
	mux.HandleFunc("POST /emulator/instances/{id}/crash", c.controlCrash)
	mux.HandleFunc("GET /emulator/calls", c.controlCalls)
}

// jobControl is a job as the control routes read and show it.
type jobControl struct {
	ID             int64             `json:"id,omitempty"`
	Name           string            `json:"name,omitempty"`
	Script         []string          `json:"script,omitempty"`
	Tags           []string          `json:"tags,omitempty"`
	Variables      map[string]string `json:"variables,omitempty"`
	TimeoutSeconds float64           `json:"timeout_seconds,omitempty"`

	Status        world.JobStatus `json:"status,omitempty"`
	FailureReason string          `json:"failure_reason,omitempty"`
	CreatedAt     *time.Time      `json:"created_at,omitempty"`
	StartedAt     *time.Time      `json:"started_at,omitempty"`
	FinishedAt    *time.Time      `json:"finished_at,omitempty"`
	RunnerID      int64           `json:"runner_id,omitempty"`
	SystemID      string          `json:"system_id,omitempty"`
}

func (c *Cloud) controlSubmit(w http.ResponseWriter, r *http.Request) {
	var in jobControl
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, &world.HTTPError{Status: 400, Message: "the body is no job: " + err.Error()})
		return
	}
	s := world.JobSpec{Name: in.Name, Script: in.Script, Tags: in.Tags, Timeout: time.Duration(in.TimeoutSeconds * float64(time.Second))}
	for _, k := range slices.Sorted(maps.Keys(in.Variables)) {
		s.Variables = append(s.Variables, world.Variable{Key: k, Value: in.Variables[k]})
	}
	answer{status: http.StatusCreated, body: map[string]int64{"id": c.SubmitJob(s)}}.write(w)
}

func (c *Cloud) controlJobs(w http.ResponseWriter, _ *http.Request) {
	out := []jobControl{}
	for _, j := range c.Records().Jobs {
		out = append(out, jobControl{
			ID: j.ID, Name: j.Name, Script: j.Script, Tags: j.Tags, TimeoutSeconds: j.Timeout.Seconds(), Status: j.Status,
			FailureReason: j.FailureReason, CreatedAt: pointer(j.CreatedAt), StartedAt: pointer(j.StartedAt),
			FinishedAt: pointer(j.FinishedAt), RunnerID: j.RunnerID, SystemID: j.SystemID,
		})
	}
	answer{status: http.StatusOK, body: out}.write(w)
}

func (c *Cloud) controlCancel(w http.ResponseWriter, r *http.Request) {
	err := tell(c, func(w *world.World, now time.Time) error { return w.CancelJob(now, pathID(r, "id")) })
	answer{status: http.StatusNoContent, err: err}.write(w)
}

// instanceControl is an instance as the control routes show it.
type instanceControl struct {
	ID           string       `json:"id"`
	Group        string       `json:"group"`
	State        world.State  `json:"state"`
	Reason       world.Reason `json:"reason,omitempty"`
	LaunchedAt   *time.Time   `json:"launched_at,omitempty"`
	InServiceAt  *time.Time   `json:"in_service_at,omitempty"`
	SpotNoticeAt *time.Time   `json:"spot_notice_at,omitempty"`
	DeadAt       *time.Time   `json:"dead_at,omitempty"`
	TerminatedAt *time.Time   `json:"terminated_at,omitempty"`
	MetadataURL  string       `json:"metadata_url,omitempty"`
}

func (c *Cloud) controlInstances(w http.ResponseWriter, _ *http.Request) {
	out := []instanceControl{}
	for _, i := range c.Records().Instances {
		out = append(out, instanceControl{
			ID: i.ID, Group: i.Group, State: i.State, Reason: i.Reason, LaunchedAt: pointer(i.LaunchedAt),
			InServiceAt: pointer(i.InServiceAt), SpotNoticeAt: pointer(i.SpotNoticeAt), DeadAt: pointer(i.DeadAt),
			TerminatedAt: pointer(i.TerminatedAt), MetadataURL: c.MetadataURL(i.ID),
		})
	}
	answer{status: http.StatusOK, body: out}.write(w)
}

// controlInterrupt takes ?lead=90s: how long the notice comes before the end.
func (c *Cloud) controlInterrupt(w http.ResponseWriter, r *http.Request) {
	var lead time.Duration
	if s := r.URL.Query().Get("lead"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			refuse(w, &world.HTTPError{Status: 400, Message: "lead is no duration: " + s})
			return
		}
		lead = d
	}
	c.controlLoss(w, c.Interrupt(r.PathValue("id"), lead))
}

func (c *Cloud) controlCrash(w http.ResponseWriter, r *http.Request) {
	c.controlLoss(w, c.Crash(r.PathValue("id")))
}

func (c *Cloud) controlLoss(w http.ResponseWriter, err error) {
	if err != nil {
		err = &world.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	}
	answer{status: http.StatusAccepted, err: err}.write(w)
}

func (c *Cloud) controlCalls(w http.ResponseWriter, _ *http.Request) {
	out := map[string]map[string]int{}
	for _, n := range c.Records().Calls {
		if out[n.API] == nil {
			out[n.API] = map[string]int{}
		}
		out[n.API][n.Operation] = n.Count
	}
	answer{status: http.StatusOK, body: out}.write(w)
}

func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
