package boot_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// boot makes a machine of an instance.
func (f *fleet) boot(id string) {
	dir := filepath.Join(f.dir, id)
	err := writeTree(filepath.Join(dir, "upper"), f.disk(id))
	if err == nil && f.plan.userData == "" {
		err = os.Chmod(filepath.Join(dir, "upper/etc/shoal/token"), 0o600)
	}
	var m *instance
	if err == nil {
		m, err = start(id, dir, f.plan.image, f.services(id), f.switchedOff)
	}
	if err != nil {
		f.t.Errorf("boot %s: %v", id, err)
		return
	}
	f.mu.Lock()
	f.instances[id] = m
	f.mu.Unlock()
}

// switchedOff: EC2's health check finds the machine stopped.
func (f *fleet) switchedOff(m *instance) {
	_ = f.cloud.Crash(m.id) // refused for one that the group has done with
}

// services are what an instance finds in its network.
func (f *fleet) services(id string) map[string]http.Handler {
	found := map[string]http.Handler{
		metadataAddress: f.cloud.MetadataHandler(id), gitlabAddress: f.cloud.GitLabHandler(), awsAddress: f.cloud.AutoScalingHandler(),
	}
	if f.plan.userData != "" {
		found[gitlabTLSAddress] = f.cloud.GitLabHandler()
		maps.Copy(found, repositories)
	}
	if f.plan.between != nil {
		found = f.plan.between(f, id, found)
	}
	return found
}

// disk is what user data would write, or the user data itself.
func (f *fleet) disk(id string) map[string]string {
	if f.plan.userData != "" {
		return seed(id, f.plan.userData)
	}
	files := map[string]string{
		"etc/shoal/shoal.toml": f.configuration(),
		"etc/shoal/token":      sharedToken + "\n",
		"etc/shoal/config.template.toml": fmt.Sprintf(
			"concurrent = %d\ncheck_interval = 1\n\n[[runners]]\n  name = \"boot\"\n  executor = \"shell\"\n", f.plan.slots),
	}
	maps.Copy(files, f.plan.files)
	return files
}

// configuration is shoal.toml.
func (f *fleet) configuration() string {
	settings := maps.Clone(pace)
	maps.Copy(settings, f.plan.settings)
	tables := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		table, name, _ := strings.Cut(key, ".")
		tables[table] = append(tables[table], name+" = "+settings[key])
	}
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		fmt.Fprintf(&b, "[%s]\n%s\n", table, strings.Join(tables[table], "\n"))
	}
	return b.String()
}
