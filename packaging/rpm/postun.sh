#!/bin/sh
# rpm runs it with the number of versions that stay: 0 at a removal. rpm knows no
# purge: /var/lib/shoal stays, and with it what tells how this machine is
# registered.
set -e

[ "$1" = 0 ] || exit 0
# gitlab-runner.service is without the drop-in from here on.
[ ! -d /run/systemd/system ] || systemctl --system daemon-reload || true
[ ! -e /var/lib/shoal/registration.json ] ||
	echo 'shoal: /var/lib/shoal stays: this machine may still be registered with GitLab' >&2
