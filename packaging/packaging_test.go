package packaging

import (
	"io/fs"
	"strings"
	"testing"
)

// want is what each unit has to say; a line that begins with ! must not be there.
var want = map[string][]string{
	"runner-init.service": {
		"Type=oneshot", "ExecStart=/usr/bin/shoal init", "Wants=network-online.target", "Wants=runner-shutdown.service", "After=network-online.target nss-lookup.target time-sync.target",
		"After=runner-shutdown.service", "Wants=runner-jobs.target", "After=runner-jobs.target", "!docker", "Restart=on-failure", "RestartSec=10", "RestartPreventExitStatus=2 3",
		"StartLimitIntervalSec=0", "TimeoutStartSec=infinity", "WantedBy=multi-user.target", "LoadCredential=gitlab-token", "!RemainAfterExit",
		// A circle at boot: that target comes after multi-user.target.
		"!cloud-init.target",
	},
	"monitor-jobs.service": {
		"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "ExecStart=/usr/bin/shoal monitor", "Restart=on-failure", "RestartPreventExitStatus=2 3",
		"StartLimitIntervalSec=0", "WantedBy=multi-user.target", "!runner-init",
	},
	"lifecycle-check.service": {
		"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "ExecStart=/usr/bin/shoal lifecycle-check", "OnSuccess=unreg-runner.service", "OnSuccessJobMode=replace",
		"Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "WantedBy=multi-user.target", "!runner-init",
		"After=network.target network-online.target nss-lookup.target", "Wants=runner-shutdown.service runner-jobs.target", "!After=gitlab", "!Before=",
	},
	"runner-shutdown.service": {
		"Type=oneshot", "RemainAfterExit=yes", "ExecStop=/usr/bin/shoal unregister --shutdown", "SuccessExitStatus=1 2 3 75", "TimeoutStopSec=29min",
		"ExecStopPost=-/bin/sh -c 'case $$SERVICE_RESULT in signal|core-dump|oom-kill|timeout) exec shoal unregister --shutdown;; esac'",
		// A docker that takes its time at boot must not keep this from being active.
		"After=network.target network-online.target nss-lookup.target", "!docker", "!podman", "!runner-jobs", "!After=gitlab", "!Before=", "!WantedBy=",
	},
	"runner-jobs.target": {"After=docker.service containerd.service podman.socket podman.service", "!Wants=", "!Requires=", "!DefaultDependencies", "!Before="},
	"scale-up.service":   {"Type=exec", "ExecStart=/usr/bin/shoal scale-up", "Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "!WantedBy"},
	"unreg-runner.service": {
		"Type=oneshot", "ExecStart=/usr/bin/shoal unregister", "ConditionPathExists=/run/shoal/notice.json", "TimeoutStartSec=infinity",
		"Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0",
		"After=network.target network-online.target nss-lookup.target",
		// The original's defect: each termination started both again.
		"!Requires=", "!Wants=", "!BindsTo=", "!PartOf=", "!lifecycle-check", "!gitlab-runner.service", "!WantedBy=",
	},
	"shoal-reap.service": {
		"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "ExecStart=/usr/bin/shoal reap --every 5m", "Restart=on-failure", "RestartPreventExitStatus=2 3",
		"StartLimitIntervalSec=0", "WantedBy=multi-user.target", "User=shoal", "LoadCredential=gitlab-token", "!ReadWritePaths", "!runner-init", "!gitlab-runner.service",
	},
	"shoal-webhook.service": {
		"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "ExecStart=/usr/bin/shoal webhook", "ExecReload=/bin/kill -HUP $MAINPID", "Restart=on-failure",
		"RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "WantedBy=multi-user.target", "User=shoal", "StateDirectory=shoal-webhook",
		"LoadCredential=webhook-secret", "LoadCredential=gitlab-token", "!ReadWritePaths", "!runner-init", "!gitlab-runner.service", "!CAP_NET_BIND",
	},
	"gitlab-runner.service.d/shoal.conf": {
		"KillSignal=SIGQUIT", "KillMode=mixed", "TimeoutStopSec=infinity", "ConditionPathExists=/run/shoal/registered", "After=runner-jobs.target", "!Restart=",
		// Started again in a drain: after a crash, or by a socket.
		"!docker", "!containerd", "!podman", "!runner-shutdown", "!Wants=", "!Requires=",
	},
	"session-.scope.d/shoal.conf": {"Before=runner-jobs.target", "!gitlab-runner.service"},
	"tmpfiles.d/shoal.conf":       {"d /run/shoal 0755 root root -", "d /var/lib/shoal 0700 root root -", "d /etc/gitlab-runner - - - -"},
}

// TestUnitsMeanWhatTheyMust also guards the original's tenth defect:
// unreg-runner pulled lifecycle-check and gitlab-runner in at each termination.
func TestUnitsMeanWhatTheyMust(t *testing.T) {
	for name, lines := range want {
		data, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				said = append(said, line)
			}
		}
		for _, line := range lines {
			check(t, name, said, line)
		}
	}
}

func check(t *testing.T, name string, said []string, line string) {
	t.Helper()
	text, never := strings.CutPrefix(line, "!")
	for _, s := range said {
		if never && strings.Contains(s, text) {
			t.Errorf("%s says %q, which has %q in it", name, s, text)
		}
		if !never && s == text {
			return
		}
	}
	if !never {
		t.Errorf("%s does not say %q", name, text)
	}
}

// TestNoOtherUnits keeps the table above whole.
func TestNoOtherUnits(t *testing.T) {
	err := fs.WalkDir(Units(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && want[path] == nil {
			t.Errorf("%s is in no test", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
