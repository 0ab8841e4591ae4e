package fleet

import (
	"reflect"
	"strings"
	"testing"
)

func TestSecretReferencesAreParsed(t *testing.T) {
	tests := map[string]SecretRef{
		"ssm:/ci/gitlab":                        {SecretSSM, "/ci/gitlab", nil},
		"ssm:token":                             {SecretSSM, "token", nil},
		"ssm:/ci/gitlab:3#gitlab.token":         {SecretSSM, "/ci/gitlab:3", []string{"gitlab", "token"}},
		"secretsmanager:ci/gitlab":              {SecretManager, "ci/gitlab", nil},
		"secretsmanager:ci/gitlab#runner_token": {SecretManager, "ci/gitlab", []string{"runner_token"}},
		"secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:ci-AbCdEf#tokens.0": {
			SecretManager, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ci-AbCdEf", []string{"tokens", "0"},
		},
		"file:/etc/shoal/token":    {SecretFile, "/etc/shoal/token", nil},
		"file:/etc/shoal/to ken#1": {SecretFile, "/etc/shoal/to ken#1", nil},
		"env:GITLAB_TOKEN":         {SecretEnv, "GITLAB_TOKEN", nil},
		"env:_t1":                  {SecretEnv, "_t1", nil},
	}
	for s, want := range tests {
		got, err := ParseSecretRef(s)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("%s: prints as %s", s, got)
		}
	}
}

// The error says what is allowed, and never what was given: that may be the
// secret.
func TestBadSecretReferences(t *testing.T) {
	tests := map[string]string{
		"":                          SecretForms,
		"glrt-verysecret":           SecretForms,
		"vault:glrt-verysecret":     SecretForms,
		"SSM:/glrt-verysecret":      SecretForms,
		"https://glrt-verysecret":   SecretForms,
		"ssm:":                      "name or ARN",
		"ssm:#glrt-verysecret":      "name or ARN",
		"ssm:glrt-verysecret x":     "name or ARN",
		"ssm:ümläut-verysecret":     "name or ARN",
		"ssm:/a#":                   "JSON path",
		"ssm:/a#b..verysecret":      "JSON path",
		"ssm:/a#b\nverysecret":      "JSON path",
		"secretsmanager:":           "name or ARN",
		"file:":                     "absolute path",
		"file:glrt-verysecret":      "absolute path",
		"file:/glrt-verysecret\x00": "absolute path",
		"file://\nverysecret":       "absolute path",
		"env:":                      "name of a variable",
		"env:glrt-verysecret":       "name of a variable",
		"env:1VERYSECRET":           "name of a variable",
		"ssm:" + strings.Repeat("a", maxSecretName+1): "name or ARN",
	}
	for s, want := range tests {
		got, err := ParseSecretRef(s)
		if err == nil || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(got, SecretRef{}) {
			t.Errorf("%q: got %+v, %v, want an error with %q", s, got, err, want)
			continue
		}
		if strings.Contains(strings.ToLower(err.Error()), "verysecret") {
			t.Errorf("%q: the error repeats it: %v", s, err)
		}
	}
}

func FuzzSecretRef(f *testing.F) {
	for _, s := range []string{"ssm:/a#b.c", "secretsmanager:a", "file:/a", "env:A", "glrt-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseSecretRef(s)
		if err == nil && r.String() != s {
			t.Errorf("%q prints as %q", s, r)
		}
	})
}
