package fleet

import "time"

// Mode is how a runner is registered.
type Mode string

// The three modes of registration.
const (
	// ModeToken shares one pre-made runner's glrt- token: each instance is a
	// manager of it, told apart by its system id.
	ModeToken Mode = "token"
	// ModeCreate makes a runner per instance with POST /user/runners.
	ModeCreate Mode = "create"
	// ModeLegacy uses a registration token with POST /runners.
	ModeLegacy Mode = "legacy"
)

// Token is a secret. It prints as "[secret]" whatever prints it, JSON and %#v
// among it; only Reveal shows it. Two tokens of the same secret are equal.
type Token struct{ masked string }

// NewToken wraps a secret.
func NewToken(clear string) Token { return Token{mask(clear)} }

// Reveal returns the secret itself. Every call is a place where it may leave
// the process: a request's header or body, a file with mode 0600.
func (t Token) Reveal() string { return mask(t.masked) }

// mask is its own inverse. fmt prints an unexported field of a struct without
// asking its String method: a machine's state that is printed as a whole must
// not show the secret in it.
func mask(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= 0xa5
	}
	return string(b)
}

// IsZero tells whether there is no secret.
func (t Token) IsZero() bool { return t.masked == "" }

// String hides the secret.
func (Token) String() string { return "[secret]" }

// GoString hides the secret.
func (Token) GoString() string { return "[secret]" }

// MarshalText hides the secret from JSON, TOML and slog.
func (Token) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Registration is what is known of this instance's runners in GitLab, kept in
// the state directory (0600). It is written before the effect as an intent, and
// again with the result.
type Registration struct {
	Mode     Mode
	URL      string // of GitLab
	SystemID string // s_ and 12 letters or digits: this machine among a runner's managers
	// Description is <group>/<instance id>: how a runner whose answer was lost,
	// or whose instance is gone, is found again.
	Description string
	IntentAt    time.Time
	Runners     []RegisteredRunner // one per [[runners]] section without a token of its own
}

// RegisteredRunner is one runner that GitLab knows.
type RegisteredRunner struct {
	ID    int64
	Token Token
}

// Done tells whether every one of n sections has its runner.
func (r Registration) Done(n int) bool { return len(r.Runners) >= n && n > 0 }

// NewRunner is what a runner is made with, in modes create and legacy.
type NewRunner struct {
	Type            string // instance_type, group_type or project_type (create)
	GroupID         int64  // for group_type
	ProjectID       int64  // for project_type
	Description     string
	Tags            []string
	RunUntagged     bool
	Locked          bool
	AccessLevel     string        // not_protected or ref_protected; empty leaves GitLab's default
	MaximumTimeout  time.Duration // 0 leaves GitLab's default
	MaintenanceNote string
}
