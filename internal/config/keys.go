package config

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The shortest spans that make sense. A poll every tenth of a second is for
// demonstrations and tests; below it a daemon would only burn the processor.
const (
	shortestPeriod = 100 * time.Millisecond
	shortestSpan   = time.Second
	// GitLab refuses a runner whose maximum time-out is under ten minutes.
	shortestJobTimeout = 10 * time.Minute
	// GitLab holds a poll for 50 s. A drain that waited longer would wait for
	// nothing, and spend on it the time that EC2 leaves.
	longestHold = time.Minute
)

// keys is every key there is: its name, kind, default, place in Config, and
// what is said of it in the default configuration and the documentation. It is
// the only list; files, variables, checks and documents are all made from it.
var keys = []key{
	bind("gitlab.url", "", required(httpURL), func(c *Config) *string { return &c.GitLab.URL },
		`GitLab's address, as a browser has it.`),
	bind("gitlab.token", Secret{}, required(secret), func(c *Config) *Secret { return &c.GitLab.Token },
		`Where the token is; never the token itself. What kind of token depends on gitlab.mode.`),
	bind("gitlab.mode", fleet.ModeToken, oneOf(fleet.ModeToken, fleet.ModeCreate, fleet.ModeLegacy), func(c *Config) *fleet.Mode { return &c.GitLab.Mode },
		`How an instance registers. token: all share one runner made in GitLab, by its glrt- token. create: each makes a runner of its own, with a token of scope create_runner. legacy: a registration token, for GitLab servers that still allow them.`),
	bind("gitlab.ca_file", "", optional(absolutePath), func(c *Config) *string { return &c.GitLab.CAFile },
		`A PEM file with the certificate authority of a private GitLab, added to the system's.`),
	bind("gitlab.runner_type", "group_type", oneOf("group_type", "instance_type", "project_type"), func(c *Config) *string { return &c.GitLab.RunnerType },
		`Modes create and legacy: whose jobs the runner takes.`),
	bind("gitlab.group_id", 0, notNegative, func(c *Config) *int64 { return &c.GitLab.GroupID },
		`Mode create: GitLab's id of the group, for group_type.`),
	bind("gitlab.project_id", 0, notNegative, func(c *Config) *int64 { return &c.GitLab.ProjectID },
		`Mode create: GitLab's id of the project, for project_type.`),
	bind("gitlab.tags", nil, tags, func(c *Config) *[]string { return &c.GitLab.Tags },
		`Modes create and legacy: the runner's tags.`),
	bind("gitlab.run_untagged", false, boolean, func(c *Config) *bool { return &c.GitLab.RunUntagged },
		`Modes create and legacy: whether it takes jobs without tags.`),
	bind("gitlab.locked", false, boolean, func(c *Config) *bool { return &c.GitLab.Locked },
		`Modes create and legacy: whether it is locked to its project.`),
	bind("gitlab.access_level", "", oneOf("", "not_protected", "ref_protected"), func(c *Config) *string { return &c.GitLab.AccessLevel },
		`Modes create and legacy: empty leaves it to GitLab; ref_protected takes only jobs of protected branches and tags.`),
	bind("gitlab.maximum_timeout", 0, zeroOr(wholeSeconds(shortestJobTimeout)), func(c *Config) *time.Duration { return &c.GitLab.MaximumTimeout },
		`Modes create and legacy: the longest a job may take; 0s leaves it to GitLab.`),
	bind("gitlab.maintenance_note", "", line(1024), func(c *Config) *string { return &c.GitLab.MaintenanceNote },
		`Modes create and legacy: a note for GitLab's administrators.`),

	bind("group.name", "", line(255), func(c *Config) *string { return &c.Group.Name },
		`The Auto Scaling group. Empty: found from the instance's metadata, else by asking Auto Scaling.`),
	bind("group.launch_hook", "", line(255), func(c *Config) *string { return &c.Group.LaunchHook },
		`The launch lifecycle hook to complete. Empty: found; to be named when the group has several.`),
	bind("group.terminate_hook", "", line(255), func(c *Config) *string { return &c.Group.TerminateHook },
		`The termination lifecycle hook to complete. Empty: found; to be named when the group has several.`),

	bind("runner.config", "/etc/gitlab-runner/config.toml", absolutePath, func(c *Config) *string { return &c.Runner.Config },
		`gitlab-runner's configuration, which shoal init writes.`),
	bind("runner.template", "/etc/shoal/config.template.toml", absolutePath, func(c *Config) *string { return &c.Runner.Template },
		`What it is written from: a config.toml of yours without tokens. Absent file: a built-in one.`),
	bind("runner.listen_address", "localhost:9090", hostPort, func(c *Config) *string { return &c.Runner.ListenAddress },
		`Where gitlab-runner serves its metrics.`),
	bind("runner.shutdown_timeout", 8*time.Second, wholeSeconds(shortestSpan), func(c *Config) *time.Duration { return &c.Runner.ShutdownTimeout },
		`How long gitlab-runner waits for killed jobs; longer than unregister.kill_after, shorter than unregister.margin, so that it still reports them.`),

	bind("init.timeout", 5*time.Minute, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Init.Timeout },
		`How long the runner has, once registered, to serve its metrics and to reach GitLab.`),
	bind("init.patience", 48*time.Hour, atLeast(0), func(c *Config) *time.Duration { return &c.Init.Patience },
		`How long a launch waits for a refused token to be mended before it gives up; no longer than its hook can be extended. A replacement would be refused as well.`),

	bind("monitor.period", 10*time.Second, atLeast(shortestPeriod), func(c *Config) *time.Duration { return &c.Monitor.Period },
		`How often the runner's metrics are read.`),
	bind("monitor.saturated_period", 3*time.Second, atLeast(shortestPeriod), func(c *Config) *time.Duration { return &c.Monitor.SaturatedPeriod },
		`The same while jobs run, for a minute after the last and in an instance's first minute; never less often than monitor.period.`),
	bind("monitor.idle_threshold", 180*time.Second, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Monitor.IdleThreshold },
		`How long an instance is without a job before it offers to leave.`),
	bind("monitor.learn_idle", 0, zeroOr(atLeast(shortestSpan)), func(c *Config) *time.Duration { return &c.Monitor.LearnIdle },
		`Up to how long an instance may learn to stay, from how long it was without a job so far: four times the mean of the last eight gaps, where that is longer than monitor.idle_threshold. 0s: it does not learn.`),
	bind("monitor.unprotect_after", 60*time.Second, atLeast(0), func(c *Config) *time.Duration { return &c.Monitor.UnprotectAfter },
		`How long after the last job scale-in protection is cleared.`),
	bind("monitor.hold_timeout", 2*time.Minute, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Monitor.HoldTimeout },
		`How long a leaving runner's polls are waited for before it stays after all: GitLab holds a poll for 50 s, and one more may follow.`),
	bind("monitor.unhealthy_after", 15*time.Minute, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Monitor.UnhealthyAfter },
		`How long an instance may be unable to run jobs, or have a monitor, lifecycle-check or init that dies at each start, before it is replaced.`),

	bind("scale_up.period", 3*time.Second, atLeast(shortestPeriod), func(c *Config) *time.Duration { return &c.ScaleUp.Period },
		`How often scale-up reads the metrics until a slot is free.`),
	bind("scale_up.blind_after", time.Minute, atLeast(0), func(c *Config) *time.Duration { return &c.ScaleUp.BlindAfter },
		`How long an instance is full without news of the queue until one of the fleet finds out by one instance more. Shorter: instances that nobody needed; longer: jobs that nobody knows of wait longer. Runners before 18.1 tell no queue: ten seconds at most.`),

	bind("scale_up.webhook_grace", 0, atLeast(0), func(c *Config) *time.Duration { return &c.ScaleUp.WebhookGrace },
		`Where the webhook serves this fleet: how long the jobs had waited that a full instance is given before it grows the group by itself all the same, as when the webhook is down. Longer than a launch; 2m is a good value. 0s: there is no webhook.`),

	bind("spares.slots", nil, spares, func(c *Config) *[]string { return &c.Spares.Slots },
		`How many slots of idle instances stand ready, and when: a number, and a period in cron's five fields; without one always. Of those that match the last one counts, so begin with the rule and end with the exceptions. An empty group holds none: nobody is there to do so.`),
	bind("spares.time_zone", "UTC", timeZone, func(c *Config) *string { return &c.Spares.TimeZone },
		`Whose clock the periods go by.`),
	bind("spares.hold", 0, zeroOr(atLeast(shortestSpan)), func(c *Config) *time.Duration { return &c.Spares.Hold },
		`For how long after its own last job an idle instance is held as a spare while none of the group runs one. 0s: for ever. 10m costs much less and is there in most bursts of a working day: see docs/scaling.md.`),

	bind("lifecycle_check.period", 5*time.Second, atLeast(shortestPeriod), func(c *Config) *time.Duration { return &c.LifecycleCheck.Period },
		`How often the instance metadata is read.`),
	bind("lifecycle_check.on_rebalance", Ignore, oneOf(Ignore, Leave), func(c *Config) *string { return &c.LifecycleCheck.OnRebalance },
		`What a rebalance recommendation does: nothing, or the instance leaves.`),
	bind("lifecycle_check.on_maintenance", Ignore, oneOf(Ignore, Leave), func(c *Config) *string { return &c.LifecycleCheck.OnMaintenance },
		`What a scheduled maintenance event does: nothing, or the instance leaves.`),

	bind("unregister.margin", 15*time.Second, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Unregister.Margin },
		`How long before EC2 takes the instance its jobs are ended, so that they are reported.`),
	bind("unregister.hold_timeout", 60*time.Second, between(shortestSpan, longestHold), func(c *Config) *time.Duration { return &c.Unregister.HoldTimeout },
		`How long a drain waits for the runner's last poll before it stops the runner.`),
	bind("unregister.kill_after", 3*time.Second, atLeast(0), func(c *Config) *time.Duration { return &c.Unregister.KillAfter },
		`How long after SIGTERM the jobs' own processes are killed, so that the runner can report.`),
	bind("unregister.gitlab_timeout", 5*time.Minute, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Unregister.GitLabTimeout },
		`How long unregistering is tried before the hook is completed anyway.`),
	bind("unregister.reboot_timeout", 25*time.Minute, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Unregister.RebootTimeout },
		`How long a reboot waits for running jobs before they are ended and reported. systemd itself forces it after 30 minutes: a longer time needs a longer JobTimeoutSec= of reboot.target, and TimeoutStopSec= of runner-shutdown.service.`),
	bind("unregister.poweroff_timeout", 100*time.Second, atLeast(shortestSpan), func(c *Config) *time.Duration { return &c.Unregister.PowerOffTimeout },
		`The same where the machine is switched off. EC2 gives an instance that it stops only minutes.`),

	bind("reap.token", Secret{}, optionalSecret, func(c *Config) *Secret { return &c.Reap.Token },
		`shoal reap: where the token is that lists and deletes runners, of scope manage_runner or api. Keep it off the instances. Empty: gitlab.token in mode create; in mode token no runners are deleted, for instances leave none.`),
	bind("reap.groups", nil, groups, func(c *Config) *[]string { return &c.Reap.Groups },
		`shoal reap: the Auto Scaling groups whose dead it clears away. Empty: group.name.`),

	bind("webhook.listen", ":8080", hostPort, func(c *Config) *string { return &c.Webhook.Listen },
		`shoal webhook: where it listens, for GitLab or a load balancer before it. "localhost:8080" behind a proxy on the same machine.`),
	bind("webhook.secrets", nil, secrets, func(c *Config) *[]string { return &c.Webhook.Secrets },
		`shoal webhook: where the secret tokens of the hooks in GitLab are, any of which is accepted: two while one is replaced. Read anew every five minutes, and at SIGHUP.`),
	bind("webhook.groups", nil, jobGroups, func(c *Config) *[]string { return &c.Webhook.Groups },
		`shoal webhook: the Auto Scaling groups, with the slots of an instance where webhook.slots is not theirs, and the tags of their runners. A job is the first one's that has all of its tags; a group without tags takes every job. Empty: group.name.`),
	bind("webhook.untagged", "", line(255), func(c *Config) *string { return &c.Webhook.Untagged },
		`shoal webhook: which of them takes jobs without tags. Empty: only one that takes every job.`),
	bind("webhook.slots", 0, notNegative, func(c *Config) *int64 { return &c.Webhook.Slots },
		`shoal webhook: how many jobs an instance runs at once: concurrent in gitlab-runner's configuration, or limit where that is less. 0: each of webhook.groups says it.`),
	bind("webhook.token", Secret{}, optionalSecret, func(c *Config) *Secret { return &c.Webhook.Token },
		`shoal webhook: where a token is that reads jobs, of scope read_api, for tags that events do not tell and events that were lost. Empty: GitLab is not asked.`),
	bind("webhook.tls_cert", "", optional(absolutePath), func(c *Config) *string { return &c.Webhook.TLSCert },
		`shoal webhook: the certificate with its chain, in PEM, read anew when it changes. Empty: no TLS, which is then a load balancer's.`),
	bind("webhook.tls_key", "", optional(absolutePath), func(c *Config) *string { return &c.Webhook.TLSKey },
		`shoal webhook: its key.`),
	bind("webhook.anticipate", true, boolean, func(c *Config) *bool { return &c.Webhook.Anticipate },
		`shoal webhook: raise also for the stages of pipelines that probably begin while an instance is being launched, by how long their jobs took before.`),
	bind("webhook.anticipate_most", 50, percent, func(c *Config) *int64 { return &c.Webhook.AnticipateMost },
		`shoal webhook: the share of a group's maximum that may be raised so, in per cent. Lower: less can wait in vain, and more jobs wait.`),
	bind("webhook.anticipate_confidence", 18, percent, func(c *Config) *int64 { return &c.Webhook.AnticipateConfidence },
		`shoal webhook: how sure it has to be, in per cent. Higher: fewer instances wait for jobs that do not come, and more jobs wait for instances.`),

	bind("log.level", "info", oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.Log.Level },
		`The least that is logged.`),
	bind("log.format", "auto", oneOf("auto", "text", "json"), func(c *Config) *string { return &c.Log.Format },
		`auto: text on a terminal, JSON otherwise.`),
}
