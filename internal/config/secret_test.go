package config

import (
	"strings"
	"testing"
)

func TestReferences(t *testing.T) {
	for ref, ok := range map[string]bool{
		"ssm:/ci/token":         true,
		"ssm:/ci/glrt-token":    true, // a name may well say what it names
		"ssm:name#gitlab.token": true,
		"ssm:name:3":            true,
		"ssm:ci/token":          false, // SSM refuses it
		"ssm:ci/token#a/b":      false,
		"ssm:arn:aws:ssm:eu-west-1:1:parameter/ci/token":                  true,
		"secretsmanager:ci/gitlab#token":                                  true,
		"secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:ci-x#a": true,
		"file:/run/credentials/glrt-token":                                true,
		"env:GITLAB_TOKEN":                                                true,
		"glrt-abcdefghijklmnopqrst":                                       false,
		"glpat-abcdefghijklmnopqrst":                                      false,
		"GR1348941abcdefghijklmnopqrs":                                    false,
		"ssm:glrt-abcdefghijklmnopqrst":                                   false,
		"abcdefghijklmnopqrst":                                            false,
		"vault:secret/ci":                                                 false,
		"file:relative":                                                   false,
		"file:":                                                           false,
		"env:NOT A NAME":                                                  false,
		"env:A#b":                                                         false,
		"ssm:":                                                            false,
		"ssm:/x#":                                                         false,
		"ssm:/x\ny":                                                       false,
	} {
		if got := checkSecret(Secret{ref}); (got == "") != ok {
			t.Errorf("%q: got %q, want ok=%v", ref, got, ok)
		}
	}
}

// A token in any place where people have been seen to put one is refused, or at
// least never repeated.
func TestNoTokenInErrors(t *testing.T) {
	const token = "glrt-S3cr3tS3cr3tS3cr3t0"
	for _, text := range []string{
		"[gitlab]\ntoken = \"" + token + "\"\n",
		"[gitlab]\ntoken = [\"" + token + "\"]\n",
		"[gitlab]\ntoken = " + token + "\n",
		"[gitlab]\ntokn = \"" + token + "\"\n",
		"[gitlab]\nurl = \"https://oauth2:" + token + "@gitlab.example.com\"\n",
		"[gitlab]\nurl = \"" + token + "\"\n",
		"[gitlab]\nmode = \"" + token + "\"\n",
		"[gitlab]\ntags = [\"" + token + ",\"]\n",
		"[gitlab]\n" + token + " = 1\n",
		"[gitlab]\ntoken = \"vault:" + token + "\"\n",
		"[gitlab]\ntoken = \"" + token + "\n",
		"\"" + token + "\"\n",
		token,
	} {
		_, err := load(t, text, "SHOAL_GITLAB_MAINTENANCE_NOTE=ok", "SHOAL_GITLAB_TOKEN="+token)
		if err == nil || strings.Contains(err.Error(), "S3cr3t") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
