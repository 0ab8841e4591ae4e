package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// launchTemplate is what EC2 takes as the name of one.
var launchTemplate = regexp.MustCompile(`^[a-zA-Z0-9()./_-]{3,128}$`)

// TestLaunchTemplateName: EC2 takes it, and all commands mean the same one.
func TestLaunchTemplateName(t *testing.T) {
	var names []string
	for _, m := range regexp.MustCompile(`(?:--launch-template-name |LaunchTemplateName=)([^\s,']+)`).FindAllStringSubmatch(read(t, install), -1) {
		names = append(names, m[1])
		if !launchTemplate.MatchString(m[1]) {
			t.Errorf("%s has a launch template %q: EC2 wants 3 to 128 letters, digits and ( ) . - / _", install, m[1])
		}
	}
	slices.Sort(names)
	if len(names) < 3 || names[0] != names[len(names)-1] {
		t.Errorf("%s names the launch templates %q", install, names)
	}
}

// TestPackageNames: a package has the name that it is built under, or the one that
// user data fetches, and how the one becomes the other is said where it matters.
func TestPackageNames(t *testing.T) {
	built := map[string]bool{}
	for _, m := range regexp.MustCompile(`file=\$dir/(\S+)`).FindAllStringSubmatch(read(t, "packaging/build.sh"), -1) {
		name := strings.NewReplacer("${PACKAGE_VERSION}", "VERSION", "$PACKAGE_VERSION", "VERSION", "$ARCH", "amd64").Replace(m[1])
		built[name] = true
	}
	fetched := []string{"shoal_amd64.deb", "shoal_arm64.deb", "shoal_x86_64.rpm", "shoal_aarch64.rpm"}
	file := regexp.MustCompile(`shoal[-_][\w.]+\.(?:deb|rpm)\b`)
	for _, name := range documents(t) {
		for _, f := range file.FindAllString(read(t, name), -1) {
			if !built[f] && !slices.Contains(fetched, f) {
				t.Errorf("%s names the package %s: it is built under %v and fetched under %q", name, f, built, fetched)
			}
		}
	}
	for _, name := range []string{install, "deploy/image/README.md"} {
		for _, f := range append(fetched, "shoal_VERSION_amd64.deb") {
			if !strings.Contains(read(t, name), f) {
				t.Errorf("%s does not say %s", name, f)
			}
		}
	}
	for _, part := range []string{"/shoal_$(dpkg --print-architecture).deb", "/shoal_$(uname -m).rpm"} {
		if !strings.Contains(read(t, "deploy/image/cloud-init-stock.yaml"), part) {
			t.Errorf("user data does not fetch %s, as %s says", part, install)
		}
	}
}
