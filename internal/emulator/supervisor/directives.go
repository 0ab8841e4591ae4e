package supervisor

import "strings"

// honoured are the directives whose meaning the supervisor keeps.
var honoured = set("Unit", `After Before Wants Requires Conflicts OnSuccess OnSuccessJobMode OnFailure
	OnFailureJobMode ConditionPathExists StartLimitIntervalSec StartLimitBurst Description`,
	"Service", `Type ExecStartPre ExecStart ExecStop ExecStopPost Environment EnvironmentFile WorkingDirectory Restart
	RestartSec RestartPreventExitStatus SuccessExitStatus RemainAfterExit KillSignal KillMode SendSIGKILL
	TimeoutSec TimeoutStartSec TimeoutStopSec NotifyAccess`,
	"Install", `WantedBy`)

// harmless are the directives that are read over on purpose: documentation,
// logging, resources and the sandbox, none of which changes when a unit starts,
// ends or what starts after it. A watchdog is not kept: the demo shows no hang. A
// credential is not given: none of LoadCredential= has to be there.
var harmless = set("Unit", `Documentation DefaultDependencies ConditionFileIsExecutable StartLimitAction`,
	"Service", `ExecReload User Group SupplementaryGroups DynamicUser UMask Nice OOMScoreAdjust OOMPolicy Slice
	StandardInput StandardOutput StandardError SyslogIdentifier SyslogLevelPrefix LogsDirectory LimitNOFILE
	LimitNPROC LimitCORE MemoryMax MemoryHigh TasksMax CPUWeight CPUQuota IOWeight CPUSchedulingPolicy
	WatchdogSec TimeoutAbortSec AmbientCapabilities CapabilityBoundingSet NoNewPrivileges ProtectSystem ProtectHome
	ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups ProtectClock
	ProtectHostname ProtectProc ProcSubset PrivateTmp PrivateDevices PrivateUsers PrivateNetwork PrivateIPC
	PrivateMounts RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID
	RestrictFileSystems LockPersonality MemoryDenyWriteExecute RemoveIPC SystemCallFilter
	SystemCallArchitectures SystemCallErrorNumber LoadCredential ReadWritePaths ReadOnlyPaths InaccessiblePaths
	TemporaryFileSystem BindPaths BindReadOnlyPaths DevicePolicy DeviceAllow KeyringMode IPAddressAllow
	IPAddressDeny StateDirectory StateDirectoryMode ConfigurationDirectory CacheDirectory SecureBits
	IgnoreSIGPIPE Delegate`,
	"Install", `Alias Also`)

// set makes a lookup of "Section.Key" from pairs of a section and its keys.
func set(pairs ...string) map[string]bool {
	m := map[string]bool{}
	for i := 0; i+1 < len(pairs); i += 2 {
		for _, key := range strings.Fields(pairs[i+1]) {
			m[pairs[i]+"."+key] = true
		}
	}
	return m
}
