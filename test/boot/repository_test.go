package boot_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// repositories are the hosts that user data installs from, by their addresses.
var repositories = map[string]http.Handler{
	shoalAddress:    http.HandlerFunc(serveShoal),
	packagesAddress: http.HandlerFunc(serveRunner),
}

// serveShoal has the built package under the name that deploy/image/README.md asks for.
func serveShoal(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/shoal/shoal_"+runtime.GOARCH+".deb" {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(w, r, filepath.Join(image, packageFile))
}

// GitLab's repository: the script that adds it, and where that leads to.
const (
	runnerScript = "/install/repositories/runner/gitlab-runner/script.deb.sh"
	runnerList   = "/runner/gitlab-runner/debian/"
)

// serveRunner is GitLab's repository with one package.
func serveRunner(w http.ResponseWriter, r *http.Request) {
	deb, err := runnerPackage()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch path.Clean(r.URL.Path) { // apt asks for ./Packages
	case runnerScript:
		fmt.Fprintf(w, "set -e\necho 'deb [trusted=yes] https://%s%s ./' >/etc/apt/sources.list.d/runner_gitlab-runner.list\napt-get update\n", r.Host, runnerList)
	case runnerList + "Packages":
		fmt.Fprintf(w, "%sFilename: ./gitlab-runner.deb\nSize: %d\nSHA256: %x\n", runnerControl(), len(deb), sha256.Sum256(deb))
	case runnerList + "gitlab-runner.deb":
		_, _ = w.Write(deb) // who asks for it tells when it does not come
	default:
		http.NotFound(w, r)
	}
}

func runnerControl() string {
	return "Package: gitlab-runner\nVersion: 1\nArchitecture: " + runtime.GOARCH + "\nMaintainer: none\nDescription: The runner of the other image\n"
}

// runnerInstalled is what GitLab's package does when it is installed: it makes the
// user, has the program write its unit below /etc, enables it and starts it.
const runnerInstalled = `#!/bin/sh
set -e
id gitlab-runner >/dev/null 2>&1 || useradd --system --shell /bin/bash --create-home gitlab-runner
mkdir -p /etc/gitlab-runner /var/lib/gitlab-runner
chmod 700 /etc/gitlab-runner
cp /usr/share/gitlab-runner/gitlab-runner.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable gitlab-runner.service
systemctl start gitlab-runner.service
`

// runnerPackage is a package of the image's gitlab-runner, as GitLab's is.
var runnerPackage = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shoal-boot-runner-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, deb := filepath.Join(dir, "root"), filepath.Join(dir, "gitlab-runner.deb")
	err = all(
		func() error {
			return writeTree(root, map[string]string{"DEBIAN/control": runnerControl(), "DEBIAN/postinst": runnerInstalled})
		},
		func() error { return os.Chmod(filepath.Join(root, "DEBIAN/postinst"), 0o755) },
		func() error { return os.MkdirAll(filepath.Join(root, "usr/share/gitlab-runner"), 0o755) },
		func() error { return copyUnits(filepath.Join(root, "usr/share/gitlab-runner")) },
		func() error {
			return command("install", "-D", "-m755", filepath.Join(image, "usr/bin/gitlab-runner"), filepath.Join(root, "usr/bin/gitlab-runner"))
		},
		func() error { return command("dpkg-deb", "--build", "--root-owner-group", "-Znone", root, deb) },
	)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(deb)
})

// fromRepositories types on a machine what adds GitLab's repository, as
// docs/install.md says it.
func fromRepositories(t *testing.T, m *instance) {
	t.Helper()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	const get = "curl -fsSL https://packages.gitlab.com" + runnerScript + " -o runner.sh"
	if !strings.Contains(string(page), get) {
		t.Fatalf("docs/install.md does not say %q any more", get)
	}
	if out, err := m.run("sh", "-ec", "cd /root; "+get+"; bash runner.sh"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// playTime bounds a playbook, which works for most of its time and shares two cores.
const playTime = 3 * time.Minute

// play runs a playbook of deploy/ansible on a machine, against itself.
func (m *instance) play(name string, variables ...string) error {
	tar, err := exec.Command("tar", "-C", "../../deploy", "-c", "ansible").Output()
	if err != nil {
		return fmt.Errorf("pack the playbooks: %w", err)
	}
	if err := m.write("/root/ansible.tar", tar); err != nil {
		return err
	}
	args := "cd /root; tar -xf ansible.tar; rm ansible.tar; cd ansible; ansible-playbook -i localhost, -c local " + name
	for _, v := range variables {
		args += " -e " + v
	}
	out, err := m.pipe(playTime, nil, "sh", "-ec", args)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
