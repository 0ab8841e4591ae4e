package packages_test

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/cli"
	"github.com/shoal-ci/shoal/packaging"
)

// entry is one file of a package.
type entry struct {
	mode fs.FileMode
	text []byte
}

// debContents reads the files of a deb, by their absolute paths.
func debContents(t *testing.T, deb string) map[string]entry {
	t.Helper()
	need(t, "dpkg-deb")
	archive, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		t.Fatalf("dpkg-deb --fsys-tarfile: %v", err)
	}
	files := map[string]entry{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uname != "root" || h.Gname != "root" {
			t.Errorf("%s belongs to %s:%s, want root", h.Name, h.Uname, h.Gname)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Join("/", h.Name)] = entry{mode: h.FileInfo().Mode(), text: text}
	}
}

// promised are files that documents and other units name.
func promised() []string {
	list := []string{
		"/usr/bin/shoal", "/etc/shoal/shoal.toml", "/usr/lib/sysusers.d/shoal.conf", "/usr/lib/tmpfiles.d/shoal.conf",
		"/usr/lib/systemd/system-preset/80-shoal.preset", "/usr/lib/systemd/system/gitlab-runner.service.d/shoal.conf",
		"/usr/share/shoal/ansible/gitlab_runner_init.yml", "/usr/share/shoal/ansible/gitlab_runner_unreg.yml", "/usr/share/shoal/ansible/scale_up.yml",
		"/usr/share/shoal/ansible/roles/shoal/tasks/main.yml",
		"/usr/share/bash-completion/completions/shoal", "/usr/share/fish/vendor_completions.d/shoal.fish",
		"/usr/share/doc/shoal/third-party-licenses.txt", "/usr/share/doc/shoal/configuration.md", "/usr/share/doc/shoal/img/page-light.png",
	}
	for _, unit := range []string{"runner-init", "scale-up", "unreg-runner"} {
		list = append(list, "/usr/share/shoal/playbook-units/"+unit+".service.d/shoal-playbook.conf")
	}
	for _, name := range units() {
		list = append(list, "/usr/lib/systemd/system/"+name)
	}
	for _, page := range pages(cli.Commands()) {
		list = append(list, "/usr/share/man/man1/"+page)
	}
	return list
}

func units() []string {
	names, _ := fs.Glob(packaging.Units(), "*.service") // only a bad pattern is an error
	return append(names, "runner-jobs.target")
}

// pages is the names of the manual pages of a command and those below it.
func pages(cmd *cobra.Command) []string {
	list := []string{strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1.gz"}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			list = append(list, pages(sub)...)
		}
	}
	return list
}

func TestDebsContainWhatIsPromised(t *testing.T) {
	for arch, deb := range packages(t).debs {
		files := debContents(t, deb)
		for _, name := range append(promised(), "/usr/share/doc/shoal/copyright", "/usr/share/doc/shoal/changelog.gz",
			"/usr/share/zsh/vendor-completions/_shoal", "/etc/needrestart/conf.d/shoal.conf") {
			if _, ok := files[name]; !ok {
				t.Errorf("%s: %s is missing", arch, name)
			}
		}
		for name, f := range files {
			if want := wantMode(name, f); f.mode.Perm() != want {
				t.Errorf("%s: %s has mode %o, want %o", arch, name, f.mode.Perm(), want)
			}
		}
		checkLinks(t, files)
		checkBinary(t, arch, files["/usr/bin/shoal"].text, files["/usr/share/doc/shoal/third-party-licenses.txt"].text)
		conffiles := strings.Fields(output(t, "dpkg-deb", "--info", deb, "conffiles"))
		if want := []string{"/etc/needrestart/conf.d/shoal.conf", "/etc/shoal/shoal.toml"}; !slices.Equal(conffiles, want) {
			t.Errorf("%s: the configuration files are %q, want %q", arch, conffiles, want)
		}
	}
}

// wantMode: all may read, root may write, and programs can be run.
func wantMode(name string, f entry) fs.FileMode {
	if f.mode.IsDir() || name == "/usr/bin/shoal" || bytes.HasPrefix(f.text, []byte("#!/bin/sh")) {
		return 0o755
	}
	return 0o644
}

var link = regexp.MustCompile(`\]\(([^)\s#]+)`)

// checkLinks: what a document links to is in the package, where it says.
func checkLinks(t *testing.T, files map[string]entry) {
	t.Helper()
	seen := 0
	for name, f := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllSubmatch(f.text, -1) {
			to := string(m[1])
			if strings.Contains(to, "://") {
				continue
			}
			seen++
			if _, ok := files[path.Join(path.Dir(name), to)]; !ok {
				t.Errorf("%s links to %s, which the package does not bring", name, to)
			}
		}
	}
	if seen < 20 {
		t.Errorf("the packaged documents link %d times: this test reads nothing", seen)
	}
}

// checkBinary: the right machine, no libraries, nothing of the makers of pages,
// and everybody whose code is in it is named.
func checkBinary(t *testing.T, arch string, program, licences []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatalf("%s: %v", arch, err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; file.Machine != want {
		t.Errorf("%s: the binary is for %s, want %s", arch, file.Machine, want)
	}
	if file.Section(".interp") != nil {
		t.Errorf("%s: the binary is not static", arch)
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatalf("%s: %v", arch, err)
	}
	if !bytes.Contains(licences, []byte("Leon Sorokin")) { // of the charts, which are no module
		t.Errorf("%s: the terms of uPlot are not in the package", arch)
	}
	for _, m := range info.Deps {
		if strings.Contains(m.Path, "go-md2man") || strings.Contains(m.Path, "blackfriday") {
			t.Errorf("%s: %s got into the binary", arch, m.Path)
		}
		if !bytes.Contains(licences, []byte("\n  "+m.Path+" "+m.Version+"\n")) {
			t.Errorf("%s: the terms of %s %s are not in the package", arch, m.Path, m.Version)
		}
	}
}

func TestDebSaysWhatItIs(t *testing.T) {
	for arch, deb := range packages(t).debs {
		need(t, "dpkg-deb")
		control := output(t, "dpkg-deb", "--field", deb)
		for _, line := range []string{
			"Package: shoal", "Architecture: " + arch, "Depends: systemd (>= 249)",
			"Recommends: ca-certificates", "Suggests: gitlab-runner, ansible-core",
		} {
			if !strings.Contains("\n"+control, "\n"+line+"\n") {
				t.Errorf("%s: no line %q in\n%s", arch, line, control)
			}
		}
	}
}

// TestScriptsKnowTheUnits: a unit that can be enabled is disabled by a removal,
// and by no preset enabled.
func TestScriptsKnowTheUnits(t *testing.T) {
	var known []string
	for _, name := range units() {
		text, err := fs.ReadFile(packaging.Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("\n[Install]\n")) {
			known = append(known, name)
		}
	}
	for _, script := range []string{"deb/prerm.sh", "rpm/preun.sh", "presets/80-shoal.preset"} {
		text := output(t, "cat", "../../packaging/"+script)
		var said []string
		for line := range strings.Lines(text) {
			if _, list, ok := strings.Cut(line, "disable "); ok && line[0] != '#' {
				list, _, _ = strings.Cut(list, "||")
				said = append(said, strings.Fields(list)...)
			}
		}
		slices.Sort(said)
		if !slices.Equal(said, known) {
			t.Errorf("%s disables %q, want %q", script, said, known)
		}
	}
}

func TestLintian(t *testing.T) {
	need(t, "lintian")
	for _, deb := range packages(t).debs {
		// It warns where root runs it, unless told so.
		if out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", deb).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("lintian %s: %v\n%s", path.Base(deb), err, out)
		}
	}
}
