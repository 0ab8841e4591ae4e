package packages_test

import (
	"os/exec"
	"strings"
	"testing"
)

// versions are what git describes, from the oldest to the newest.
var versions = []struct{ described, want string }{
	{"1654349-dirty", "0.0.0~git20261122041330.1654349+dirty"},
	{"v1.2.3-rc1", "1.2.3~rc1"},
	{"v1.2.3-rc1-4-gabc1234", "1.2.3~rc1+4.gabc1234"},
	{"v1.2.3-rc.2", "1.2.3~rc.2"},
	{"v1.2.3", "1.2.3"},
	{"v1.2.3-4-gabc1234", "1.2.3+4.gabc1234"},
	{"v1.2.3-10-gabc1234-dirty", "1.2.3+10.gabc1234+dirty"},
	{"1.3.0", "1.3.0"},
}

// made is the time of the commit in seconds.
const made = "1795320810"

func TestVersionsArePackageVersions(t *testing.T) {
	for _, v := range versions {
		if got := packageVersion(t, v.described); got != v.want {
			t.Errorf("%s: got %s, want %s", v.described, got, v.want)
		}
	}
	if got := packageVersion(t, "abc1234"); got != "0.0.0~git20261122041330.abc1234" {
		t.Errorf("without a tag: got %s", got)
	}
	if got := packageVersion(t, "unknown"); got != "0.0.0~git20261122041330.unknown" {
		t.Errorf("without git: got %s", got)
	}
	if out, err := exec.Command("../../packaging/version.sh", "1.0 $(id)", made).CombinedOutput(); err == nil {
		t.Errorf("a version with blanks: got %s, want an error", out)
	}
}

// TestVersionsSort: an upgrade that sorts before what is installed is none.
func TestVersionsSort(t *testing.T) {
	need(t, "dpkg", "rpm")
	for i := 1; i < len(versions); i++ {
		older, newer := versions[i-1].want, versions[i].want
		if err := exec.Command("dpkg", "--compare-versions", older, "lt", newer).Run(); err != nil {
			t.Errorf("dpkg sorts %s not before %s", older, newer)
		}
		got := output(t, "rpm", "--eval", `%{lua:print(rpm.vercmp("`+older+`","`+newer+`"))}`)
		if strings.TrimSpace(got) != "-1" {
			t.Errorf("rpm compares %s with %s: got %s, want -1", older, newer, got)
		}
	}
}

func packageVersion(t *testing.T, described string) string {
	t.Helper()
	return strings.TrimSpace(output(t, "../../packaging/version.sh", described, made))
}
