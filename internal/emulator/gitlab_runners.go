package emulator

import (
	"net/http"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

type router func(pattern string, h func(params, *http.Request) answer)

// runnerRoutes: how runners come, are checked, and go.
func (c *Cloud) runnerRoutes(api router) {
	api("POST /user/runners", c.createRunner)
	api("POST /runners", c.registerRunner)
	api("POST /runners/verify", c.verifyRunner)
	api("DELETE /runners", c.unregisterRunner)
	api("DELETE /runners/managers", c.deleteManager)
	api("POST /runners/reset_authentication_token", c.resetToken)
	api("POST /runners/{id}/reset_authentication_token", c.resetTokenByID)
	api("PUT /runners/{id}", c.updateRunner)
	api("DELETE /runners/{id}", c.deleteRunner)
}

func (c *Cloud) createRunner(p params, r *http.Request) answer {
	n := newRunner(p, false)
	n.Type, n.GroupID, n.ProjectID = p.text("runner_type"), p.number("group_id"), p.number("project_id")
	t, err := ask(c, func(w *world.World, now time.Time) (world.RunnerToken, error) {
		return w.CreateRunner(now, accessToken(r), n)
	})
	return answer{status: http.StatusCreated, body: tokenBody(t, true), err: err}
}

func (c *Cloud) registerRunner(p params, r *http.Request) answer {
	if ownToken(p, r, "Runner-Token") == "" {
		return missing("token")
	}
	t, err := ask(c, func(w *world.World, now time.Time) (world.RunnerToken, error) {
		return w.RegisterRunner(now, ownToken(p, r, "Runner-Token"), newRunner(p, true))
	})
	return answer{status: http.StatusCreated, body: tokenBody(t, true), err: err}
}

// newRunner reads what both ways of making a runner have in common; they differ
// in whether untagged jobs are run unless something is said.
func newRunner(p params, untagged bool) world.NewRunner {
	n := world.NewRunner{
		Description: p.text("description"), Tags: p.list("tag_list"), Locked: p.flag("locked", false),
		Paused: p.flag("paused", false), AccessLevel: p.text("access_level"), MaintenanceNote: p.text("maintenance_note"),
		MaximumTimeout: time.Duration(p.number("maximum_timeout")) * time.Second,
	}
	n.RunUntagged = p.flag("run_untagged", untagged || len(n.Tags) == 0)
	return n
}

func tokenBody(t world.RunnerToken, withID bool) map[string]any {
	b := map[string]any{"token": t.Token, "token_expires_at": gitlabTime(t.ExpiresAt)}
	if withID {
		b["id"] = t.ID
	}
	return b
}

func missing(name string) answer {
	return answer{err: &world.HTTPError{Status: http.StatusBadRequest, Kind: name + " is missing"}}
}

func (c *Cloud) verifyRunner(p params, r *http.Request) answer {
	if ownToken(p, r, "Runner-Token") == "" {
		return missing("token")
	}
	t, err := ask(c, func(w *world.World, now time.Time) (world.RunnerToken, error) {
		return w.VerifyRunner(now, ownToken(p, r, "Runner-Token"), p.text("system_id"), managerInfo(p))
	})
	return answer{status: http.StatusOK, body: tokenBody(t, true), err: err}
}

func managerInfo(p params) world.ManagerInfo {
	i := p.object("info")
	return world.ManagerInfo{Version: i.text("version"), Platform: i.text("platform")}
}

func (c *Cloud) unregisterRunner(p params, r *http.Request) answer {
	if ownToken(p, r, "Runner-Token") == "" {
		return missing("token")
	}
	return c.deleted(func(w *world.World, now time.Time) error {
		return w.UnregisterRunner(now, ownToken(p, r, "Runner-Token"))
	})
}

func (c *Cloud) deleteManager(p params, r *http.Request) answer {
	switch {
	case ownToken(p, r, "Runner-Token") == "":
		return missing("token")
	case p.text("system_id") == "":
		return missing("system_id")
	}
	return c.deleted(func(w *world.World, now time.Time) error {
		return w.DeleteManager(now, ownToken(p, r, "Runner-Token"), p.text("system_id"))
	})
}

func (c *Cloud) deleteRunner(_ params, r *http.Request) answer {
	return c.deleted(func(w *world.World, now time.Time) error {
		return w.DeleteRunner(now, accessToken(r), pathID(r, "id"))
	})
}

func (c *Cloud) deleted(f func(*world.World, time.Time) error) answer {
	return answer{status: http.StatusNoContent, err: tell(c, f)}
}

func (c *Cloud) resetToken(p params, r *http.Request) answer {
	if ownToken(p, r, "Runner-Token") == "" {
		return missing("token")
	}
	t, err := ask(c, func(w *world.World, now time.Time) (world.RunnerToken, error) {
		return w.ResetToken(now, ownToken(p, r, "Runner-Token"))
	})
	return answer{status: http.StatusCreated, body: tokenBody(t, false), err: err}
}

func (c *Cloud) resetTokenByID(_ params, r *http.Request) answer {
	t, err := ask(c, func(w *world.World, now time.Time) (world.RunnerToken, error) {
		return w.ResetTokenByID(now, accessToken(r), pathID(r, "id"))
	})
	return answer{status: http.StatusCreated, body: tokenBody(t, false), err: err}
}

func (c *Cloud) updateRunner(p params, r *http.Request) answer {
	u := world.RunnerUpdate{
		Paused: p.flagPointer("paused"), RunUntagged: p.flagPointer("run_untagged"), Locked: p.flagPointer("locked"),
		Description: p.textPointer("description"), MaintenanceNote: p.textPointer("maintenance_note"),
		AccessLevel: p.textPointer("access_level"),
	}
	if active := p.flagPointer("active"); active != nil && u.Paused == nil {
		paused := !*active // the older name for the same
		u.Paused = &paused
	}
	if p.has("tag_list") {
		tags := p.list("tag_list")
		u.Tags = &tags
	}
	if p.has("maximum_timeout") {
		d := time.Duration(p.number("maximum_timeout")) * time.Second
		u.MaximumTimeout = &d
	}
	v, err := ask(c, func(w *world.World, now time.Time) (world.Runner, error) {
		defer c.wakePolls() // a paused runner's poll, and a resumed one's, look again
		return w.UpdateRunner(now, accessToken(r), pathID(r, "id"), u)
	})
	return answer{status: http.StatusOK, body: runnerDetails(v), err: err}
}
