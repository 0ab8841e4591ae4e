package world

import (
	"slices"
	"time"
)

// The scopes of access tokens that runners' endpoints look at.
const (
	ScopeAPI          = "api"
	ScopeReadAPI      = "read_api"
	ScopeCreateRunner = "create_runner"
	ScopeManageRunner = "manage_runner"
)

// AccessToken is a personal, group or project access token.
type AccessToken struct {
	Token     string
	Scopes    []string
	ExpiresAt time.Time // zero: never
	Revoked   bool
}

// RegistrationToken lets runners be registered the old way.
type RegistrationToken struct {
	Token     string
	Type      string // of the runners that come of it; default instance_type
	GroupID   int64
	ProjectID int64
}

// lab is the world's GitLab.
type lab struct {
	access        []AccessToken
	registrations []RegistrationToken
	runners       []*runner
	jobs          []*job
	byJob         map[int64]*job
	waiting       []*job // those to hand out, longest wait first
	runnerIDs     int64
	managerIDs    int64
	jobIDs        int64
}

func (l *lab) init() { l.byJob = map[int64]*job{} }

// AddAccessToken makes an access token known; one of the same text is replaced.
func (w *World) AddAccessToken(t AccessToken) {
	w.lab.access = slices.DeleteFunc(w.lab.access, func(o AccessToken) bool { return o.Token == t.Token })
	w.lab.access = append(w.lab.access, t)
}

// RevokeAccessToken revokes an access token.
func (w *World) RevokeAccessToken(token string) {
	for i := range w.lab.access {
		if w.lab.access[i].Token == token {
			w.lab.access[i].Revoked = true
		}
	}
}

// AddRegistrationToken makes a registration token known.
func (w *World) AddRegistrationToken(t RegistrationToken) {
	orString(&t.Type, TypeInstance)
	w.lab.registrations = append(w.lab.registrations, t)
}

// authorize finds an access token that has one of the scopes.
func (w *World) authorize(token string, scopes ...string) error {
	i := slices.IndexFunc(w.lab.access, func(t AccessToken) bool { return t.Token == token })
	if token == "" || i < 0 {
		return unauthorized()
	}
	t := w.lab.access[i]
	switch {
	case t.Revoked:
		return &HTTPError{Status: 401, Kind: "invalid_token", Description: "Token was revoked. You have to re-authorize from the user."}
	case !t.ExpiresAt.IsZero() && !w.now.Before(t.ExpiresAt):
		return &HTTPError{Status: 401, Kind: "invalid_token", Description: "Token is expired. You can either do re-authorization or token refresh."}
	case !slices.ContainsFunc(t.Scopes, func(s string) bool { return slices.Contains(scopes, s) }):
		return &HTTPError{
			Status: 403, Kind: "insufficient_scope", Scope: scopes[0],
			Description: "The request requires higher privileges than provided by the access token.",
		}
	}
	return nil
}

// MayRead tells whether a token may read projects and their jobs.
func (w *World) MayRead(now time.Time, auth string) error {
	w.advance(now)
	return w.authorize(auth, ScopeAPI, ScopeReadAPI)
}
