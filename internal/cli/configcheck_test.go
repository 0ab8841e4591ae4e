package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
)

// What this user cannot see says nothing about what init, which is root, will.
func TestFailuresAreProblemsOrWarnings(t *testing.T) {
	for _, tt := range []struct {
		err     error
		problem bool
		want    string
	}{
		{&fleet.Failure{Kind: fleet.Denied, Message: "open /t", Mend: "let it", Err: fs.ErrPermission}, false, "open /t; not checked: check again as root"},
		{&fleet.Failure{Kind: fleet.NotFound, Message: "open /t", Mend: "write it", Err: fs.ErrNotExist}, false, "open /t; it must be there before shoal init"},
		{&fleet.Failure{Kind: fleet.Denied, Message: "mode 0644", Mend: "chmod 600 /t"}, true, "mode 0644; chmod 600 /t"},
		{fmt.Errorf("stat: %w", errors.New("input/output error")), true, "stat: input/output error"},
	} {
		var f findings
		f.judge("gitlab.token", config.Origin{}, tt.err)
		got := f.warnings
		if tt.problem {
			got = f.problems
		}
		if len(f.warnings)+len(f.problems) != 1 || len(got) != 1 || !strings.HasSuffix(got[0].String(), tt.want) {
			t.Errorf("%v: got %+v, want %q, problem=%v", tt.err, f, tt.want, tt.problem)
		}
	}
}
