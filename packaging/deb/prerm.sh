#!/bin/sh
# Debian runs it as: prerm remove, and as prerm upgrade NEW-VERSION or with other
# words when the package stays in one way or another.
set -e

[ "$1" = remove ] || exit 0
command -v systemctl >/dev/null || exit 0

if [ -d /run/systemd/system ]; then
	# Without the drop-in and the unit systemd would go back to its own time-outs,
	# and kill the drain and the jobs that it waits for.
	case $(systemctl show --property=ActiveState --value unreg-runner.service) in
	activating | active | deactivating)
		echo 'shoal: this instance is being drained, and removing the package now would lose its jobs.' >&2
		echo 'shoal: Wait for unreg-runner.service to end, or stop it first.' >&2
		exit 1
		;;
	esac
	if [ "$(systemctl show --property=ActiveState --value gitlab-runner.service)" = deactivating ]; then
		echo 'shoal: gitlab-runner waits for its jobs to end, and removing the package now would lose them.' >&2
		echo 'shoal: Wait for gitlab-runner.service to end.' >&2
		exit 1
	fi
	if [ -e /run/shoal/registered ]; then
		echo 'shoal: gitlab-runner goes on running and taking jobs, and nobody watches it any more: scaling in kills its jobs.' >&2
		echo 'shoal: "shoal unregister --now" before removing the package would have taken it out of GitLab first.' >&2
	fi
	deb-systemd-invoke stop monitor-jobs.service lifecycle-check.service scale-up.service runner-init.service runner-shutdown.service runner-jobs.target shoal-reap.service shoal-webhook.service >/dev/null || true
fi
# Works on the files alone where no systemd is running.
systemctl --quiet disable runner-init.service monitor-jobs.service lifecycle-check.service shoal-reap.service shoal-webhook.service || true
