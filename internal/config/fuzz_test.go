package config

import (
	"strings"
	"testing"
)

// Whatever the file holds, Load returns; what it accepts is valid when written
// out and read again; and a token is never repeated.
func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add(Example())
	f.Add("gitlab = { url = 1 }\n[[log]]\n")
	f.Add("[gitlab]\ntoken = \"glrt-S3cr3tS3cr3tS3cr3t0\"\n\"a.b\".c = 1979-05-27T07:32:00Z\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := assemble("shoal.toml", text, environment(nil), nil)
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), "glrt-S3cr3t") {
				t.Fatalf("error %q", err)
			}
			return
		}
		again := rewrite(l)
		if _, err := assemble("shoal.toml", again, environment(nil), nil); err != nil {
			t.Fatalf("accepted, but what it wrote is not: %v\n%s", err, again)
		}
	})
}

func rewrite(l *Loaded) string {
	var b strings.Builder
	for _, v := range l.Values() {
		b.WriteString(v.Key + " = " + v.Text + "\n")
	}
	return b.String()
}
