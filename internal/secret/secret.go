// Package secret resolves the references that stand in the configuration in the
// place of secrets: ssm:/name#json.path, secretsmanager:name#json.path,
// file:/path, env:NAME.
//
// It guarantees that a secret leaves it only as a fleet.Token: no error of its
// own, of the SDK or of a JSON parser carries any part of a value. What is
// returned is one non-empty line. Errors are *fleet.Failure; a refusal names
// the IAM action and the resource.
//
// AWS is configured and asked only for a reference that needs it. What a token
// is for, and when to try again, is left to package life.
package secret

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// maxValue bounds a value before its JSON path is followed: the longest that
// Secrets Manager keeps, and far more than a token.
const maxValue = 64 << 10

// Options is what a Resolver may be given.
type Options struct {
	// Load gives the SDK's configuration; it is called for ssm: and
	// secretsmanager: only. Nil makes those references fail.
	Load func(context.Context) (aws.Config, error)
}

// Resolver resolves references. Its methods may be called from several
// goroutines.
type Resolver struct {
	load func(context.Context) (aws.Config, error)
}

// New returns a resolver; it reads nothing yet.
func New(o Options) *Resolver { return &Resolver{load: o.Load} }

// Resolve returns the secret that ref names.
func (r *Resolver) Resolve(ctx context.Context, ref string) (fleet.Token, error) {
	parsed, err := fleet.ParseSecretRef(ref)
	if err != nil {
		return fleet.Token{}, &fleet.Failure{
			Kind: fleet.Invalid, Op: "resolve a secret", Message: err.Error(), Err: err,
			Mend: "put a reference in its place",
		}
	}
	value, err := r.read(ctx, parsed)
	if err != nil {
		return fleet.Token{}, err
	}
	return token(parsed, value)
}

// read fetches the raw value from its source.
func (r *Resolver) read(ctx context.Context, ref fleet.SecretRef) (string, error) {
	switch ref.Source {
	case fleet.SecretFile:
		return readFile(ref)
	case fleet.SecretEnv:
		return readVariable(ref)
	default:
		return r.readAWS(ctx, ref)
	}
}

func readVariable(ref fleet.SecretRef) (string, error) {
	v, ok := os.LookupEnv(ref.Name)
	if !ok {
		return "", &fleet.Failure{
			Kind: fleet.NotFound, Op: operation(ref), Message: "the variable is not set",
			Mend: "set it for the service, or refer to another source",
		}
	}
	return v, nil
}

// token follows the JSON path, takes one newline off the end, as editors put it
// there, and checks what is left.
func token(ref fleet.SecretRef, value string) (fleet.Token, error) {
	if len(value) > maxValue {
		return fleet.Token{}, invalid(ref, fmt.Sprintf("the value is longer than %d bytes", maxValue))
	}
	if len(ref.Path) > 0 {
		var err error
		if value, err = follow(ref, value); err != nil {
			return fleet.Token{}, err
		}
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	switch {
	case value == "":
		return fleet.Token{}, invalid(ref, "the value is empty")
	case !utf8.ValidString(value):
		return fleet.Token{}, invalid(ref, "the value is not text")
	case strings.ContainsFunc(value, unicode.IsControl): // no header or line of a file can hold it
		return fleet.Token{}, invalid(ref, "the value has more than one line, or a control character")
	}
	return fleet.NewToken(value), nil
}

func operation(ref fleet.SecretRef) string { return fmt.Sprintf("resolve secret %q", ref) }

// invalid is the failure of a value that is there and cannot be used. It says
// what is wrong with it, never what it is.
func invalid(ref fleet.SecretRef, message string) *fleet.Failure {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: operation(ref), Message: message,
		Mend: "store the token itself there, as one line",
	}
}
