package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// A link leads the units nowhere either.
func TestUnseenFolder(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/root", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/root/token":         "/root",
		"/home":               "/home",
		"/etc/../home/me/t":   "/home",
		"/run/user/0/t":       "/run/user",
		"/run/users/t":        "",
		"/rooted/token":       "",
		"/etc/shoal/token":    "",
		link:                  "/root",
		filepath.Dir("/root"): "",
	} {
		if got := unseenFolder(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
