#!/usr/bin/env bash
# rootfs.sh DIR: a small Debian 12 with systemd, cloud-init and ansible-core in DIR,
# from the packages that this machine's own apt uses. A tree that was made before
# is unpacked from its archive: making one takes a minute, unpacking it a second.
set -euo pipefail
dir=$1
cache=${BOOT_ROOTFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shoal-rootfs}
include=systemd,systemd-sysv,dbus,iproute2,ca-certificates,libnss-systemd,libpam-systemd,ansible-core,python3-apt,cloud-init,curl

missing=()
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v ip >/dev/null || missing+=(iproute2)
if [ ${#missing[@]} -gt 0 ]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get -o DPkg::Lock::Timeout=600 update -qq
	apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Another week, another list or another script makes another archive.
key=$({ echo "$include"; date +%G-%V; cat "$0"; } | sha256sum | cut -c1-16)
archive=$cache/$key.tar
mkdir -p "$cache"
# Two runs at once must not make it twice.
exec 9>"$cache/lock"
flock 9
if [ ! -s "$archive" ]; then
	# shellcheck disable=SC2016 # apt's own variable
	mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -1)
	mmdebstrap --quiet --mode=root --format=tar --variant=apt --include="$include" \
		--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		bookworm "$archive.new" ${mirror:+"$mirror"}
	mv "$archive.new" "$archive"
	find "$cache" -name '*.tar' ! -name "$key.tar" -delete
fi
flock -u 9

mkdir -p "$dir"
tar -C "$dir" --numeric-owner -xpf "$archive"
# What an instance under test has no use for.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
	console-getty.service getty.target systemd-networkd.service systemd-networkd.socket systemd-resolved.service; do
	ln -sf /dev/null "$dir/etc/systemd/system/$unit"
done
