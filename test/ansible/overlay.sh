#!/bin/bash
# overlay.sh FOLDER PROGRAM ARG...: runs a program with this machine's own root as
# its root, where all that it writes is forgotten in the end. FOLDER is there as
# /mnt. Needs root; nothing of it is seen outside, and nothing stays mounted.
set -euo pipefail
folder=$(realpath "$1")
shift
export folder
# shellcheck disable=SC2016 # the inner shell expands it
exec unshare --mount --propagation private bash -euc '
	root=$folder/root
	mkdir -p "$folder"/{root,overlay}
	# Of its own: an overlay cannot be written to where the folder is on one itself.
	mount -t tmpfs -o mode=755 overlay "$folder/overlay"
	mkdir "$folder"/overlay/{changes,work}
	mount -t overlay -o "lowerdir=/,upperdir=$folder/overlay/changes,workdir=$folder/overlay/work" overlay "$root"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc" || mount --rbind /proc "$root/proc"
	mount -t tmpfs -o mode=1777 tmp "$root/tmp"
	mount -t tmpfs -o mode=755 run "$root/run" # no systemd: its packages see a chroot
	mount --bind "$folder" "$root/mnt"
	rc=0
	chroot "$root" "$@" || rc=$?
	exit $rc' overlay "$@"
