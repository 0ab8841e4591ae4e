package config

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// secretForms lists the references there are, for errors and documents.
const secretForms = `"ssm:/name", "secretsmanager:name", "file:/path" or "env:NAME" (after the first two "#json.path" picks a field)`

// Secret is a reference to a secret, such as ssm:/ci/runner-token: a place to
// look, never the secret. It may be shown and logged.
type Secret struct{ ref string }

// String is the reference.
func (s Secret) String() string { return s.ref }

// IsZero tells whether nothing is referred to.
func (s Secret) IsZero() bool { return s.ref == "" }

// The shapes of what people paste by mistake: GitLab's tokens by their
// prefixes, alone or after a scheme's colon.
var (
	token       = regexp.MustCompile(`^(gl[a-z]{1,10}-|GR1348941)`)
	tokenAsName = regexp.MustCompile(`^[a-z]+:(gl[a-z]{1,10}-|GR1348941)[0-9A-Za-z_.-]{20,}$`)
)

// checkSecret refuses what is not a reference, without repeating it: people do
// paste the token itself, and the error would carry it into a log.
func checkSecret(s Secret) string {
	if token.MatchString(s.ref) || tokenAsName.MatchString(s.ref) {
		return "a token itself (not shown); put it into one of these places, and its name here"
	}
	ref, err := fleet.ParseSecretRef(s.ref)
	if err == nil {
		return checkParameter(ref)
	}
	scheme, _, _ := strings.Cut(s.ref, ":")
	if detail, ok := strings.CutPrefix(err.Error(), scheme+": "); ok {
		return "something else (not shown): " + scheme + ": " + detail
	}
	return "something else (not shown)"
}

// checkParameter refuses what SSM calls not fully qualified: a name in a
// hierarchy begins with a slash. Only a name without any slash may do without.
func checkParameter(ref fleet.SecretRef) string {
	if ref.Source != fleet.SecretSSM || strings.HasPrefix(ref.Name, "arn:") ||
		strings.HasPrefix(ref.Name, "/") || !strings.Contains(ref.Name, "/") {
		return ""
	}
	return `something else (not shown): ssm: a name with a slash in it begins with one, such as "ssm:/ci/runner-token"`
}

func unprintable(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
