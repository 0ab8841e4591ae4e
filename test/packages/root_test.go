package packages_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// root is a Debian in a folder that is not booted: where images are built.
type root struct {
	*testing.T
	dir string
}

// withProc runs the program that follows with a /proc in the root, in a mount
// namespace that ends with it: systemd's tools want one, and builders of images
// mount it.
const withProc = `mount -t proc proc "$0/proc" && exec "$@"`

func newRoot(t *testing.T) root {
	t.Helper()
	needRoot(t)
	need(t, "unshare", "chroot", "dpkg-deb")
	r := root{T: t, dir: t.TempDir()}
	if err := os.Chmod(r.dir, 0o755); err != nil { // it is somebody's /
		t.Fatal(err)
	}
	output(t, "../boot/rootfs.sh", r.dir)
	return r
}

// in runs a program inside, and returns its output whether it succeeds or not.
func (r root) in(name string, args ...string) (string, error) {
	return r.run(name, exec.Command("unshare", append([]string{"--mount", "sh", "-c", withProc, r.dir, "chroot", r.dir, name}, args...)...))
}

func (r root) run(name string, cmd *exec.Cmd) (string, error) {
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w\n%s", name, strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), err
}

func (r root) must(name string, args ...string) string {
	r.Helper()
	out, err := r.in(name, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// install installs a deb as apt would: keep what the operator has edited.
func (r root) install(deb string) {
	r.Helper()
	output(r.T, "cp", deb, filepath.Join(r.dir, "var/tmp/package.deb"))
	r.must("dpkg", "--force-confdef", "--force-confold", "--install", "/var/tmp/package.deb")
}

func (r root) write(name, text string, mode fs.FileMode) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), mode); err != nil {
		r.Fatal(err)
	}
}

func (r root) want(name, text string) {
	r.Helper()
	got, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil || string(got) != text {
		r.Errorf("%s: got %q (%v), want %q", name, got, err, text)
	}
}

func (r root) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(r.dir, name))
	return err == nil
}

// gone checks that paths are not there any more.
func (r root) gone(names ...string) {
	r.Helper()
	for _, name := range names {
		if r.exists(name) {
			r.Errorf("%s is still there", name)
		}
	}
}

// enabled is everything that an enabled unit would leave.
func (r root) enabled() string {
	r.Helper()
	return output(r.T, "find", filepath.Join(r.dir, "etc/systemd"), "(", "-name", "*runner*", "-o", "-name", "monitor-jobs*", "-o",
		"-name", "scale-up*", "-o", "-name", "lifecycle-check*", ")", "-print")
}

// nothingEnabled also does what systemd does at the first boot of an image.
func (r root) nothingEnabled() {
	r.Helper()
	if _, err := r.in("systemctl", "preset-all", "--preset-mode=enable-only"); err != nil {
		r.Log(err) // some unit of Debian's own
	}
	if got := r.enabled(); got != "" {
		r.Errorf("enabled are\n%s", got)
	}
}

func (r root) enable() {
	r.Helper()
	r.must("systemctl", "enable", "runner-init.service", "monitor-jobs.service", "lifecycle-check.service")
	if n := strings.Count(r.enabled(), "\n"); n != 3 {
		r.Fatalf("3 units were enabled, and there are links for %d:\n%s", n, r.enabled())
	}
}

const (
	configuration = "etc/shoal/shoal.toml"
	registration  = "var/lib/shoal/registration.json"
	registered    = `{"mode":"create","url":"https://gitlab.example.com","runners":[{"id":12,"token":"glrt-verysecret"}]}`
	edited        = "[gitlab]\nurl = \"https://gitlab.example.com\"\n"
)

// TestLifeOfTheDeb installs, upgrades, removes, installs again and purges, with
// what an operator does in between.
func TestLifeOfTheDeb(t *testing.T) {
	r := newRoot(t)
	deb := packages(t).debs[runtime.GOARCH]

	r.install(deb)
	r.nothingEnabled()
	r.checkInstalled()

	r.write(configuration, edited, 0o644)
	r.write(registration, registered, 0o600)
	r.write("etc/shoal/config.template.toml", "concurrent = 6\n", 0o644)
	r.enable()
	r.install(r.newer(deb))
	r.want(configuration, edited)
	r.want(registration, registered)
	if !r.exists(configuration + ".dpkg-dist") {
		t.Error("the new default configuration was not put beside the edited one")
	}
	if strings.Count(r.enabled(), "\n") != 3 {
		t.Errorf("after the upgrade are enabled\n%s", r.enabled())
	}

	r.must("dpkg", "--remove", "shoal")
	r.gone("usr/bin/shoal", "usr/lib/systemd/system/gitlab-runner.service.d")
	r.want(configuration, edited)
	r.want(registration, registered)
	if got := r.enabled(); got != "" {
		t.Errorf("after the removal are enabled\n%s", got)
	}

	r.install(deb)
	r.want(configuration, edited)
	r.want(registration, registered)
	r.nothingEnabled()

	r.purge()
}

func (r root) checkInstalled() {
	r.Helper()
	if got := r.must("stat", "--format=%a %U:%G", "/var/lib/shoal"); got != "700 root:root\n" {
		r.Errorf("/var/lib/shoal is %s, want 700 root:root", got)
	}
	if got := r.must("getent", "passwd", "shoal"); !strings.HasSuffix(got, "nologin\n") {
		r.Errorf("the user is %q, want one that cannot log in", got)
	}
	if got := r.must("shoal", "version"); !strings.HasPrefix(got, "shoal ") {
		r.Errorf("shoal version: %q", got)
	}
	// With nothing configured it says what is missing, and only that.
	if out, err := r.in("shoal", "config", "check"); err == nil || !strings.Contains(out, "gitlab.url") || !strings.Contains(out, "gitlab.token") {
		r.Errorf("shoal config check of the default configuration: %v\n%s", err, out)
	}
}

// purge leaves what the operator made, and the user, whose number may be in use.
func (r root) purge() {
	r.Helper()
	out := r.must("dpkg", "--purge", "shoal")
	if !strings.Contains(out, "registered at https://gitlab.example.com") || strings.Contains(out, "verysecret") {
		r.Errorf("the purge must name GitLab, and no token:\n%s", out)
	}
	r.want("etc/shoal/config.template.toml", "concurrent = 6\n")
	if err := os.RemoveAll(filepath.Join(r.dir, "etc/shoal")); err != nil {
		r.Fatal(err)
	}
	left := output(r.T, "find", r.dir, "-xdev", "-iname", "*shoal*", "-print")
	if left != "" {
		r.Errorf("the purge has left\n%s", left)
	}
	r.gone("etc/gitlab-runner")
}

// TestLifeWithoutProc: in a bare chroot systemd's tools refuse to make folders,
// which the first boot does. The package must get in and out even so.
func TestLifeWithoutProc(t *testing.T) {
	r := newRoot(t)
	output(t, "cp", packages(t).debs[runtime.GOARCH], filepath.Join(r.dir, "var/tmp/package.deb"))
	for _, step := range [][]string{{"--install", "/var/tmp/package.deb"}, {"--install", "/var/tmp/package.deb"}, {"--purge", "shoal"}} {
		if _, err := r.run("dpkg", exec.Command("chroot", append([]string{r.dir, "dpkg"}, step...)...)); err != nil {
			t.Fatal(err)
		}
	}
	r.gone("etc/shoal", "usr/bin/shoal")
}

// TestNoRemovalDuringADrain has a systemctl say that one is under way.
func TestNoRemovalDuringADrain(t *testing.T) {
	r := newRoot(t)
	r.install(packages(t).debs[runtime.GOARCH])
	const fake = "usr/local/bin/systemctl"
	output(t, "mkdir", "--parents", filepath.Join(r.dir, "run/systemd/system"))
	r.write(fake, "#!/bin/sh\n[ \"$1\" = show ] && echo activating\n", 0o755)
	if out, err := r.in("dpkg", "--purge", "shoal"); err == nil || !strings.Contains(out, "being drained") {
		t.Errorf("dpkg --purge during a drain: %v\n%s", err, out)
	}
	if !r.exists("usr/bin/shoal") || !r.exists("var/lib/shoal") || !r.exists(configuration) {
		t.Error("it took something away even so")
	}
	r.write(fake, "#!/bin/sh\n[ \"$1\" = show ] && echo inactive\n", 0o755)
	r.must("dpkg", "--purge", "shoal")
}

// newer makes a deb of a later version, with another default configuration.
func (r root) newer(deb string) string {
	r.Helper()
	dir := filepath.Join(r.TempDir(), "tree")
	output(r.T, "dpkg-deb", "--raw-extract", deb, dir)
	version := strings.TrimSpace(output(r.T, "dpkg-deb", "--field", deb, "Version"))
	output(r.T, "sed", "--in-place", "s/^Version: .*/Version: "+version+"+later/", filepath.Join(dir, "DEBIAN/control"))
	file, err := os.OpenFile(filepath.Join(dir, configuration), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		r.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("# a later default\n"); err != nil {
		r.Fatal(err)
	}
	later := dir + ".deb"
	output(r.T, "dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", dir, later)
	return later
}
