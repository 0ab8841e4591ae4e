package e2e_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// audit looks for secrets where nobody may see them: in what was printed, on
// command lines, in environments, and in files that others can read. Every site
// is audited before it is closed.
func (s *site) audit() {
	s.t.Helper()
	secrets := s.secrets()
	for _, l := range s.journal.all() {
		s.clean(secrets, "printed by "+l.unit, []byte(l.text))
	}
	for _, i := range s.records().Instances {
		s.auditProcesses(secrets, s.machines.Root(i.ID))
		s.auditFiles(secrets, s.machines.Root(i.ID))
	}
}

// secrets are the tokens of this site.
func (s *site) secrets() []string {
	s.records() // keeps the tokens of now
	secrets := []string{sharedToken, apiToken, closeToken, s.plan.machines.Token}
	s.mu.Lock()
	defer s.mu.Unlock()
	for token := range s.tokens {
		secrets = append(secrets, token)
	}
	return secrets
}

func (s *site) clean(secrets []string, where string, data []byte) {
	s.t.Helper()
	for _, secret := range secrets {
		if secret != "" && bytes.Contains(data, []byte(secret)) {
			s.t.Errorf("the secret %q is %s", secret, where)
		}
	}
}

func (s *site) auditProcesses(secrets []string, root string) {
	s.t.Helper()
	for _, pid := range processes("EMULATED_INSTANCE=" + root) {
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
			if err == nil { // else it has just ended
				s.clean(secrets, "in the "+file+" of "+strings.ReplaceAll(string(data), "\x00", " "), data)
			}
		}
	}
}

// auditFiles reads what others than the owner may read. That the folders are
// closed is no excuse. What is gone by the time it is read is left out.
func (s *site) auditFiles(secrets []string, root string) {
	s.t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, _ error) error {
		if d == nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			data, _ := os.ReadFile(path) // empty when it is gone
			s.clean(secrets, "in "+path+", which others can read", data)
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}

// processes are the ids of the processes whose environment holds a text.
func processes(marker string) []int {
	found, _ := filepath.Glob("/proc/[0-9]*/environ") // only a bad pattern is an error
	var pids []int
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(marker)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}
