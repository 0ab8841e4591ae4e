package simulate

import (
	"errors"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// tokens are the secrets of a run, and where they stand.
type tokens struct {
	stored string // in the secret store
	right  string // what GitLab takes now
	shared int64  // mode token: the runner
	serial int
}

// adminToken is the judge's and the operator's own.
const adminToken = "glpat-admin"

// makeTokens makes GitLab's side of the fleet's mode.
func (l *loop) makeTokens() {
	l.world.AddAccessToken(world.AccessToken{Token: adminToken, Scopes: []string{world.ScopeAPI}})
	if l.mode == fleet.ModeToken {
		t := l.world.AddRunner(epoch, l.sharedRunner(""))
		l.tokens = tokens{stored: t.Token, right: t.Token, shared: t.ID}
		return
	}
	l.tokens = tokens{stored: "glpat-create-0", right: "glpat-create-0"}
	l.allowToken()
}

func (l *loop) allowToken() {
	scopes := []string{world.ScopeCreateRunner}
	if l.mayList {
		scopes = append(scopes, world.ScopeManageRunner)
	}
	l.world.AddAccessToken(world.AccessToken{Token: l.tokens.right, Scopes: scopes})
}

func (l *loop) sharedRunner(token string) world.NewRunner {
	return world.NewRunner{Type: world.TypeGroup, GroupID: 7, Description: "shared", Tags: []string{"ci"}, RunUntagged: true, Token: token}
}

func (l *loop) doGitLab(p *process, a life.Action) (any, error) {
	w := l.world
	w.CountCall("gitlab", nameOf(a))
	switch a := a.(type) {
	case life.CreateRunner:
		l.registersOnce(p)
		t, err := w.CreateRunner(l.now, a.Auth.Reveal(), newRunner(a.Runner))
		return fleet.RegisteredRunner{ID: t.ID, Token: fleet.NewToken(t.Token)}, err
	case life.RegisterRunner:
		t, err := w.RegisterRunner(l.now, a.Auth.Reveal(), newRunner(a.Runner))
		return fleet.RegisteredRunner{ID: t.ID, Token: fleet.NewToken(t.Token)}, err
	case life.VerifyRunner:
		t, err := w.VerifyRunner(l.now, a.Token.Reveal(), a.SystemID, world.ManagerInfo{})
		return t.ID, err
	case life.FindRunners:
		all, err := w.Runners(l.now, a.Auth.Reveal(), world.RunnerFilter{GroupID: a.Runner.GroupID})
		var ids []int64
		for _, r := range all {
			if r.Description == a.Runner.Description {
				ids = append(ids, r.ID)
			}
		}
		return ids, err
	case life.ResetRunnerToken:
		t, err := w.ResetTokenByID(l.now, a.Auth.Reveal(), a.ID)
		return fleet.RegisteredRunner{ID: t.ID, Token: fleet.NewToken(t.Token)}, err
	case life.DeleteRunner:
		l.unregisters(p)
		if l.mode == fleet.ModeToken {
			l.breaks("ghost", "i%02d deletes the runner that all share", p.in.number)
		}
		return nil, w.UnregisterRunner(l.now, a.Token.Reveal())
	case life.DeleteManager:
		l.unregisters(p)
		return nil, w.DeleteManager(l.now, a.Token.Reveal(), a.SystemID)
	case life.ListRunners:
		return l.listsRunners(a)
	case life.ReadRunner:
		return l.readsRunner(p, a)
	case life.DeleteRunnerByID:
		return nil, l.reaps(p, a)
	}
	panic("simulate: no such call: " + nameOf(a))
}

func newRunner(n fleet.NewRunner) world.NewRunner {
	return world.NewRunner{
		Type: n.Type, GroupID: n.GroupID, ProjectID: n.ProjectID, Description: n.Description, Tags: n.Tags, RunUntagged: n.RunUntagged,
		Locked: n.Locked, AccessLevel: n.AccessLevel, MaximumTimeout: n.MaximumTimeout, MaintenanceNote: n.MaintenanceNote,
	}
}

// The statuses of a refusal; net/http is not the core's to import.
const (
	statusUnauthorized = 401
	statusForbidden    = 403
	statusNotFound     = 404
	statusGone         = 410
)

// gitlabFailure sorts a refusal as the edge does: by status, and by whose token
// was sent.
func gitlabFailure(a life.Action, err error) *fleet.Failure {
	if err == nil {
		return nil
	}
	var h *world.HTTPError
	if !errors.As(err, &h) {
		return fleet.AsFailure(nameOf(a), err)
	}
	f := &fleet.Failure{Kind: fleet.Invalid, Op: nameOf(a), Message: h.Error()}
	own := false // the runner's own token
	switch a.(type) {
	case life.VerifyRunner, life.DeleteRunner, life.DeleteManager:
		own = true
	}
	switch {
	case h.Status == statusNotFound:
		f.Kind = fleet.NotFound
	case h.Kind == "insufficient_scope":
		f.Kind = fleet.Denied
	case own && (h.Status == statusUnauthorized || h.Status == statusForbidden || h.Status == statusGone):
		f.Kind = fleet.BadToken
	case h.Status == statusUnauthorized:
		f.Kind = fleet.BadToken
	case h.Status == statusForbidden:
		f.Kind = fleet.Denied
	}
	return f
}
