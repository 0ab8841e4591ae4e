package runner

import (
	"os"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// TestTemplateMayNotSayWhichRunner: what says so is refused by its line, before
// anything is registered, and its value is never told.
func TestTemplateMayNotSayWhichRunner(t *testing.T) {
	const head = "concurrent = 2\n\n[[runners]]\n  executor = 'shell'\n"
	const second = "[[runners]]\n  executor = 'docker'\n"
	tests := []struct{ name, template, want string }{
		{"url", head + "  url = 'https://S3cr3t.example'\n", "url on line 5"},
		{"token", head + "  # mine\n  token = \"glrt-S3cr3t\" # S3cr3t\n", "token on line 6"},
		{"id", head + "  id = 5\n", "id on line 5"},
		{"token_obtained_at", head + "  token_obtained_at = 2024-01-01T00:00:00Z\n", "token_obtained_at on line 5"},
		{"token_expires_at, however empty", head + "  token_expires_at = 0001-01-01T00:00:00Z\n", "token_expires_at on line 5"},
		{"all at once", head + "  url = 'https://S3cr3t.example'\n" + second + "  token = '''\nS3cr3t'''\n  id = 7\n", "url on line 5, token on line 8, id on line 10"},
		{"in another case, which gitlab-runner takes", head + "  URL = ''\n  Token = 'S3cr3t'\n", "URL on line 5, Token on line 6"},
		{"quoted", head + "  \"tok\\u0065n\" = 'S3cr3t'\n", "token on line 5"},
		{"no string", head + "  token = 5\n", "token on line 5"},
		{"dotted", head + "  token.x = 'S3cr3t'\n", "token on line 5"},
		{"a table", head + "[runners.token]\nx = 'S3cr3t'\n", "token in [[runners]] section 1"},
		{"without an executor too", "[[runners]]\ntoken = 'S3cr3t'\n", "token on line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := place(t, tt.template)
			_, err := l.Sections(t.Context())
			f := failure(t, err, fleet.Invalid)
			if _, err := l.Configure(t.Context(), registration(2)); err == nil || err.Error() != f.Error() {
				t.Errorf("Configure says %v, Sections %v", err, f)
			}
			if want := "the template says which runner it is: " + tt.want; f.Message != want || !strings.Contains(f.Mend, "take that out") {
				t.Errorf("got %q (%q), want %q", f.Message, f.Mend, want)
			}
			if strings.Contains(f.Error(), "S3cr3t") {
				t.Errorf("the value is told: %v", f)
			}
			if _, err := os.Stat(l.opts.ConfigPath); err == nil {
				t.Error("config.toml was written")
			}
		})
	}
}
