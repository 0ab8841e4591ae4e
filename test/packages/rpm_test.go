package packages_test

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestRPMsContainWhatIsPromised(t *testing.T) {
	need(t, "rpm")
	for arch, rpm := range packages(t).rpms {
		list := strings.Fields(output(t, "rpm", "--query", "--package", "--list", rpm))
		for _, name := range append(promised(), "/usr/share/licenses/shoal/LICENSE", "/usr/share/zsh/site-functions/_shoal") {
			if !slices.Contains(list, name) {
				t.Errorf("%s: %s is missing", arch, name)
			}
		}
		if got := output(t, "rpm", "--query", "--package", "--configfiles", rpm); got != "/etc/shoal/shoal.toml\n" {
			t.Errorf("%s: the configuration files are %q", arch, got)
		}
		// 16: what the operator has edited stays in its place.
		if got := output(t, "rpm", "--query", "--package", "--queryformat", "[%{FILENAMES} %{FILEFLAGS}\n]", rpm); !strings.Contains(got, "/etc/shoal/shoal.toml 17\n") {
			t.Errorf("%s: /etc/shoal/shoal.toml is not config(noreplace):\n%s", arch, got)
		}
		if got := output(t, "rpm", "--query", "--package", "--queryformat", "%{NAME} %{ARCH} %{LICENSE}", rpm); got != "shoal "+architectures[arch]+" Apache-2.0" {
			t.Errorf("%s: it says that it is %q", arch, got)
		}
		if got := output(t, "rpm", "--query", "--package", "--requires", rpm); !strings.Contains(got, "systemd >= 249") {
			t.Errorf("%s: it requires\n%s", arch, got)
		}
		if got := output(t, "rpm", "--query", "--package", "--queryformat", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]", rpm); strings.ReplaceAll(got, "root:root\n", "") != "" {
			t.Errorf("%s: its files belong to\n%s", arch, got)
		}
	}
}

// TestLifeOfTheRPM: rpm runs the scripts inside, with Debian's systemd, which is
// the same program as elsewhere.
func TestLifeOfTheRPM(t *testing.T) {
	need(t, "rpm")
	r := newRoot(t)
	rpm := packages(t).rpms[runtime.GOARCH]

	r.rpm("--install", rpm)
	r.nothingEnabled()
	r.checkInstalled()

	r.write(configuration, edited, 0o644)
	r.write(registration, registered, 0o600)
	r.enable()
	r.rpm("--upgrade", "--replacepkgs", "--force", rpm)
	r.want(configuration, edited)
	r.want(registration, registered)
	if strings.Count(r.enabled(), "\n") != 3 {
		t.Errorf("after the upgrade are enabled\n%s", r.enabled())
	}

	out := r.rpm("--erase", "shoal")
	if !strings.Contains(out, "may still be registered") {
		t.Errorf("the removal does not say that a registration stays:\n%s", out)
	}
	r.gone("usr/bin/shoal", "usr/lib/systemd/system/gitlab-runner.service.d", "usr/share/shoal", "usr/share/doc/shoal", "usr/share/licenses/shoal")
	r.want(configuration+".rpmsave", edited)
	r.want(registration, registered)
	if got := r.enabled(); got != "" {
		t.Errorf("after the removal are enabled\n%s", got)
	}
}

// rpm installs into the root, whose own packages rpm knows nothing of.
func (r root) rpm(args ...string) string {
	r.Helper()
	all := append([]string{"--root", r.dir, "--dbpath", "/var/lib/rpm", "--nodeps", "--force-debian"}, args...)
	out, err := exec.Command("unshare", append([]string{"--mount", "sh", "-c", withProc, r.dir, "rpm"}, all...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "scriptlet failed") {
		r.Fatalf("rpm %s: %v\n%s", strings.Join(all, " "), err, out)
	}
	return strings.ReplaceAll(string(out), filepath.Clean(r.dir), "")
}
