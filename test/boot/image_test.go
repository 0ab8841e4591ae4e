package boot_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/shoal-ci/shoal/internal/emulator/supervisor"
)

// makeImages furnishes an image as a person would: a Debian, GitLab's runner, our
// package, and the units enabled; and one that is as the vendor gives it.
func makeImages(image, stock string) error {
	deb, err := buildPackage()
	if err != nil {
		return err
	}
	return all(
		func() error { return command("./rootfs.sh", image) },
		func() error { return command("./rootfs.sh", stock) },
		func() error { return installRunner(image) },
		func() error { return installPackage(image, deb) },
		func() error { return writeTree(image, testbed) },
		func() error { return writeTree(image, map[string]string{"etc/cloud/cloud-init.disabled": ""}) },
		func() error { return writeTree(stock, testbed) },
		func() error { return writeTree(stock, vendor()) },
		func() error {
			return command("chroot", image, "systemctl", "enable", "--quiet",
				"gitlab-runner", "docker", "podman", "runner-init", "monitor-jobs", "lifecycle-check")
		},
	)
}

// buildPackage builds the package of this machine's architecture and returns its file.
func buildPackage() (string, error) {
	if deb := os.Getenv("BOOT_DEB"); deb != "" {
		return deb, nil
	}
	if err := command("make", "-C", "../..", "--no-print-directory", "deb"); err != nil {
		return "", err
	}
	found, err := filepath.Glob("../../dist/deb/*.deb")
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("make deb: want one package in dist/deb, found %q (%w)", found, err)
	}
	return filepath.Abs(found[0])
}

// packageFile is where the image keeps the package that it was made with.
const packageFile = "/var/tmp/shoal.deb"

func installPackage(root, deb string) error {
	return all(
		func() error { return command("cp", deb, filepath.Join(root, packageFile)) },
		func() error { return command("chroot", root, "dpkg", "--install", packageFile) },
	)
}

// installRunner installs what GitLab's package brings: the real gitlab-runner
// where it is on the PATH, else the stand-in, which is shoal by another name.
func installRunner(root string) error {
	program := realRunner()
	if program == "" {
		program = filepath.Join(root, "../gitlab-runner")
		build := exec.Command("go", "build", "-o", program, "../../cmd/shoal")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // the image has its own C library
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the stand-in for gitlab-runner: %w\n%s", err, out)
		}
	}
	return all(
		func() error {
			return command("install", "-m755", program, filepath.Join(root, "usr/bin/gitlab-runner"))
		},
		func() error {
			return command("chroot", root, "useradd", "--system", "--create-home", "--home-dir", "/home/gitlab-runner", "--shell", "/bin/bash", "gitlab-runner")
		},
		func() error { return copyUnits(filepath.Join(root, "usr/lib/systemd/system")) },
		func() error { return os.MkdirAll(filepath.Join(root, "etc/gitlab-runner"), 0o700) },
		func() error { return os.MkdirAll(filepath.Join(root, "var/lib/gitlab-runner"), 0o755) },
	)
}

// realRunner is the gitlab-runner on the PATH, empty where there is none: a script
// of that name is not one.
func realRunner() string {
	path, err := exec.LookPath("gitlab-runner")
	if err != nil {
		return ""
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil || !strings.Contains(string(out), "Git revision:") {
		fmt.Fprintf(os.Stderr, "boot: %s is no gitlab-runner: taking the stand-in\n", path)
		return ""
	}
	fmt.Fprintf(os.Stderr, "boot: with %s\n%s", path, out)
	return path
}

// copyUnits writes the units of GitLab's package.
func copyUnits(to string) error {
	units := supervisor.PackagedUnits()
	names, err := fs.Glob(units, "*.service")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := fs.ReadFile(units, name)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// testbed is what the image has for the sake of the tests.
var testbed = map[string]string{
	// The journal outlives the instance, and loses nothing.
	"etc/systemd/journald.conf.d/boot.conf": "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSyncIntervalSec=1s\n",
	// What the runner's jobs need, and must not lose before they have ended.
	"etc/systemd/system/docker.service": needed,
	"etc/systemd/system/podman.service": needed,
	"etc/hosts": strings.Join([]string{
		"127.0.0.1 localhost", gitlabHost + " gitlab.example.com", awsHost + " aws.example.com", shoalHost + " example.com", packagesHost + " packages.gitlab.com", "",
	}, "\n"),
	// The variables lead AWS' clients to the emulated services; the metadata
	// service needs none: it is at its real address.
	"etc/systemd/system.conf.d/boot.conf": "[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL=http://aws.example.com\n",
}

const needed = `[Unit]
Description=What the jobs need
[Service]
ExecStart=/bin/sleep infinity
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
`

// writeTree writes files below root, readable by all.
func writeTree(root string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
