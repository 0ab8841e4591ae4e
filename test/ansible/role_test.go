package ansible_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// host is a play as the one that builds an image.
const host = `- name: Build
  hosts: localhost
  connection: local
  gather_facts: false
  roles:
    - role: shoal
      shoal_package: /mnt/shoal.deb
      shoal_gitlab_url: https://gitlab.example.com
      shoal_gitlab_token: ssm:/ci/runner-token
      shoal_config:
        gitlab: {tags: [linux, "größer"], run_untagged: true}
        monitor: {idle_threshold: 10m}
      shoal_runner_template: |
        concurrent = 3

        [[runners]]
          executor = "shell"
`

// TestRole installs the built package by the role, on an overlay of this
// machine's root; doing it again changes nothing.
func TestRole(t *testing.T) {
	t.Parallel()
	dir := overlay(t)
	write(t, filepath.Join(dir, "role.yml"), host, 0o644)
	write(t, filepath.Join(dir, "with-playbooks.yml"), host+"      shoal_use_playbooks: true\n", 0o644)
	write(t, filepath.Join(dir, "wrong.yml"), strings.Replace(host, "10m", "soon", 1), 0o644)
	write(t, filepath.Join(dir, "download.yml"), strings.Replace(host, "/mnt/shoal.deb", "http://127.0.0.1:8000/shoal.deb", 1), 0o644)
	script := `cd /mnt
play() { echo "== $1"; shift; ansible-playbook -i localhost, "$@"; }
set -e
( cd /mnt && exec python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 ) & server=$!
trap 'kill $server' EXIT
until curl -fsSo /dev/null http://127.0.0.1:8000/shoal.deb; do sleep 0.1; done
play check -CD with-playbooks.yml
play check-download -CD download.yml
! ls /etc/shoal /etc/systemd/system/*/shoal-playbook.conf
play first role.yml
play check-again -C role.yml
play again role.yml
cp -r --parents /etc/shoal /mnt/seen && ls /etc/systemd/system/multi-user.target.wants > /mnt/seen/enabled
mkdir /etc/systemd/system/scale-up.service.d # as the role once copied it
echo stale > /etc/systemd/system/scale-up.service.d/shoal-playbook.conf
play playbooks with-playbooks.yml
play playbooks-again with-playbooks.yml
for f in /etc/systemd/system/*/shoal-playbook.conf; do echo "$f $(readlink "$f")"; cmp "$f" /usr/share/shoal/playbook-units/"${f#/etc/systemd/system/}"; done > /mnt/seen/dropins
play program role.yml
! ls -d /etc/systemd/system/*/shoal-playbook.conf
! play wrong wrong.yml
cmp /etc/shoal/shoal.toml /mnt/seen/etc/shoal/shoal.toml
`
	write(t, filepath.Join(dir, "seen/empty"), "", 0o644)
	cmd := exec.CommandContext(t.Context(), "./overlay.sh", dir, "bash", "-c", script)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/root", "LC_ALL=C.UTF-8", "ANSIBLE_ROLES_PATH=/mnt/ansible/roles",
	}, plain...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	runs := map[string]string{}
	for _, part := range strings.Split(string(out), "== ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		runs[name] = text
	}
	for name, changes := range map[string]bool{"check": true, "check-download": true, "check-again": false, "first": true, "again": false, "playbooks": true, "playbooks-again": false, "program": true} {
		m := recap.FindStringSubmatch(runs[name])
		if m == nil || (m[2] != "0") != changes || m[3] != "0" {
			t.Errorf("run %q: want a change: %v\n%s", name, changes, runs[name])
		}
	}
	if !strings.Contains(runs["wrong"], "monitor.idle_threshold") || !strings.Contains(runs["wrong"], "soon") {
		t.Errorf("a wrong configuration is not told:\n%s", runs["wrong"])
	}
	checkRole(t, filepath.Join(dir, "seen"))
}

// checkRole asserts what the role left behind.
func checkRole(t *testing.T, seen string) {
	t.Helper()
	for name, words := range map[string][]string{
		"etc/shoal/shoal.toml": {
			`url = "https://gitlab.example.com"`, `token = "ssm:/ci/runner-token"`, `tags = ["linux", "größer"]`, "run_untagged = true", "[monitor]\nidle_threshold = \"10m\"",
		},
		"etc/shoal/config.template.toml": {"concurrent = 3\n"},
		"enabled":                        {"runner-init.service", "monitor-jobs.service", "lifecycle-check.service"},
		"dropins": {
			" /usr/share/shoal/playbook-units/runner-init.service.d/shoal-playbook.conf", " /usr/share/shoal/playbook-units/scale-up.service.d/shoal-playbook.conf",
			" /usr/share/shoal/playbook-units/unreg-runner.service.d/shoal-playbook.conf",
		},
	} {
		data, err := os.ReadFile(filepath.Join(seen, name))
		if err != nil {
			t.Error(err)
		}
		for _, w := range words {
			if !strings.Contains(string(data), w) {
				t.Errorf("%s does not say %q:\n%s", name, w, data)
			}
		}
		if name == "enabled" && (strings.Contains(string(data), "scale-up") || strings.Contains(string(data), "unreg-runner")) {
			t.Errorf("more is enabled than begins an instance's life:\n%s", data)
		}
	}
}

// overlay furnishes the folder that overlay.sh shows as /mnt, with the package
// and the playbooks in it.
func overlay(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		leftOut(t, "nobody installs by the role: it needs root")
	}
	for _, name := range []string{"ansible-playbook", "apt-get", "systemctl", "unshare", "make"} {
		tool(t, name, "nobody installs by the role")
	}
	dir := t.TempDir()
	deb := os.Getenv("BOOT_DEB")
	if deb == "" {
		if out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "--no-print-directory", "deb", "DEB="+dir).CombinedOutput(); err != nil {
			t.Fatalf("make deb: %v\n%s", err, out)
		}
		found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil || len(found) != 1 {
			t.Fatalf("make deb made %q (%v)", found, err)
		}
		deb = found[0]
	}
	for from, to := range map[string]string{deb: "shoal.deb", playbooks: "ansible"} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-rT", from, filepath.Join(dir, to)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}
