#!/bin/sh
# Debian runs it as: postrm remove, postrm purge, and with other words when the
# package stays in one way or another. Only a purge takes the state away.
set -e

# What is in GitLab cannot be taken out from here: shoal is gone already.
tell_registration() {
	[ -e /var/lib/shoal/registration.json ] || return 0
	url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' /var/lib/shoal/registration.json | head -n 1)
	cat >&2 <<-END
		shoal: this machine was registered at ${url:-GitLab}, and a runner may still be listed there.
		shoal: Delete one of its own under Settings > CI/CD > Runners. Of a runner that many machines
		shoal: share GitLab drops this one by itself. "shoal unregister --now" before a purge does both.
	END
}

purge() {
	tell_registration
	rm -rf /var/lib/shoal /run/shoal /var/cache/shoal
	# tmpfiles.d made it where GitLab's package was not.
	command -v gitlab-runner >/dev/null || rmdir /etc/gitlab-runner 2>/dev/null || true
}

case $1 in
remove)
	# gitlab-runner.service is without the drop-in from here on.
	[ ! -d /run/systemd/system ] || systemctl --system daemon-reload || true
	;;
purge)
	purge
	;;
esac
