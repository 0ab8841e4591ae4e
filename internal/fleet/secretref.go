package fleet

import (
	"errors"
	"fmt"
	"strings"
)

// SecretSource is where a referenced secret is kept.
type SecretSource string

// The sources, as a reference spells them.
const (
	SecretSSM     SecretSource = "ssm"            // SSM Parameter Store
	SecretManager SecretSource = "secretsmanager" // Secrets Manager
	SecretFile    SecretSource = "file"
	SecretEnv     SecretSource = "env"
)

// SecretForms are the allowed references, for messages and documents.
const SecretForms = "ssm:/name#json.path, secretsmanager:name#json.path, file:/path, env:NAME" //nolint:gosec // forms, not secrets

// maxSecretName is the longest name that any source allows (an ARN in SSM).
const maxSecretName = 2048

// SecretRef is a parsed reference to a secret: what stands in the configuration
// in the secret's place.
type SecretRef struct {
	Source SecretSource
	Name   string   // parameter, secret, absolute path or variable
	Path   []string // keys into a JSON value; empty takes the whole value
}

// String is the reference as it is written.
func (r SecretRef) String() string {
	s := string(r.Source) + ":" + r.Name
	if len(r.Path) > 0 {
		s += "#" + strings.Join(r.Path, ".")
	}
	return s
}

// ParseSecretRef parses a reference. Its errors tell what is allowed and never
// repeat what was given: somebody may have put the secret itself there.
func ParseSecretRef(s string) (SecretRef, error) {
	source, rest, found := strings.Cut(s, ":")
	if !found {
		return SecretRef{}, fmt.Errorf("not a reference to a secret: allowed are %s", SecretForms)
	}
	r := SecretRef{Source: SecretSource(source), Name: rest}
	var err error
	switch r.Source {
	case SecretSSM, SecretManager:
		r.Name, r.Path, err = splitPath(rest)
		if err == nil {
			err = checkAWSName(r)
		}
	case SecretFile:
		err = checkFile(rest)
	case SecretEnv:
		err = checkVariable(rest)
	default:
		err = fmt.Errorf("unknown source of a secret: allowed are %s", SecretForms)
	}
	if err != nil {
		return SecretRef{}, err
	}
	return r, nil
}

func splitPath(s string) (string, []string, error) {
	name, path, found := strings.Cut(s, "#")
	if !found {
		return name, nil, nil
	}
	keys := strings.Split(path, ".")
	for _, k := range keys {
		if k == "" || hasControl(k) {
			return "", nil, errors.New("the JSON path after # must be keys with dots between them, such as #gitlab.token")
		}
	}
	return name, keys, nil
}

// checkAWSName allows what SSM and Secrets Manager allow in names, ARNs and
// version labels; they tell the rest themselves.
func checkAWSName(r SecretRef) error {
	foreign := func(c rune) bool { return !strings.ContainsRune(nameCharacters, c) }
	if r.Name == "" || len(r.Name) > maxSecretName || strings.ContainsFunc(r.Name, foreign) {
		return fmt.Errorf("%s: needs the name or ARN of a secret, of letters, digits and /_+=.@:-", r.Source)
	}
	return nil
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+=.@:-"

func checkFile(path string) error {
	if !strings.HasPrefix(path, "/") || len(path) > maxSecretName || hasControl(path) {
		return errors.New("file: needs an absolute path, such as file:/etc/shoal/token")
	}
	return nil
}

func checkVariable(name string) error {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			name = ""
			break
		}
	}
	if name == "" || len(name) > maxSecretName {
		return errors.New("env: needs the name of a variable, such as env:GITLAB_TOKEN")
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
