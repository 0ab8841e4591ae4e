#!/bin/sh
# rpm runs it with the number of versions that are installed: 1 at the first
# installation, 2 at an upgrade. It enables and starts nothing: a package that is
# installed must not begin to scale a group.
set -e

# in_force fails where the configuration, with the units' environment over it, has
# a mistake.
in_force() (
	set -a
	# shellcheck source=/dev/null # the operator's
	[ ! -r /etc/default/shoal ] || . /etc/default/shoal
	shoal config show
)

systemd-sysusers shoal.conf
systemd-tmpfiles --create shoal.conf ||
	echo 'shoal: cannot make /run/shoal and /var/lib/shoal now; systemd does it at the next boot' >&2

# In a chroot or a container, where images are built, nothing is running.
[ -d /run/systemd/system ] || exit 0
systemctl --system daemon-reload || true

if [ "$1" -ge 2 ]; then
	# Those that watch take the new binary. The others are at work that must not
	# be disturbed; they take it the next time. With a configuration that they refuse
	# they would stay down, and nobody would see this instance's end.
	if in_force >/dev/null 2>&1; then
		systemctl --quiet try-restart monitor-jobs.service lifecycle-check.service shoal-reap.service shoal-webhook.service || true
	elif systemctl --quiet is-active monitor-jobs.service lifecycle-check.service shoal-reap.service shoal-webhook.service; then
		echo 'shoal: the daemons go on as the old version, since the new one refuses the configuration.' >&2
		echo 'shoal: see "shoal config check"; then restart them' >&2
	fi
elif [ "$(systemctl show --property=ActiveState --value gitlab-runner.service)" = active ] && [ ! -e /run/shoal/registered ]; then
	echo 'shoal: gitlab-runner goes on running; from its next start on it waits until "shoal init" has registered it' >&2
fi
