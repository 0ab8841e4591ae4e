#!/usr/bin/env bash
# machine.sh IMAGE DIR NAME: boots IMAGE, a folder or several with a colon between
# them and the uppermost first, under a real systemd, what it writes in DIR/upper,
# and boots it again whenever it reboots. It must run in mount, network and process
# namespaces of its own: with the last process of them everything that it made is gone.
#
# It says "ready" when its network is there and waits for a line, so that servers
# can be put into that network before anything boots; then "up" and "off STATUS".
set -euo pipefail
image=$1 dir=$2 name=$3

ip link set lo up
# The metadata service's address; the other services are on loopback's own net.
ip address add 169.254.169.254/32 dev lo
# As systemd sets it where it boots a whole machine, and may not in here: it waits
# 10 ms for the journal to take a line, then the line is lost.
echo 512 >/proc/sys/net/unix/max_dgram_qlen
# A view of the control groups as a machine with nothing but version 2 has it, and
# a scratch folder for systemd-nspawn.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mkdir -p "$dir"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$image,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
mkdir -p "/sys/fs/cgroup/$name"
echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"

echo ready
read -r

# run boots the machine until it is switched off.
run() {
	local status=133 # how systemd-nspawn says that the machine wants to boot again
	while [ "$status" = 133 ]; do
		echo up
		status=0
		SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 systemd-nspawn --quiet --directory="$dir/root" --boot \
			--register=no --keep-unit --console=pipe --link-journal=no --resolv-conf=off --timezone=off \
			--capability=CAP_BPF,CAP_NET_ADMIN --system-call-filter=bpf --hostname="$name" \
			systemd.show_status=0 </dev/null >>"$dir/console" 2>&1 || status=$?
	done
	echo "off $status"
}

# It also ends with whoever holds the other end of its input: a test that was
# killed leaves no machine behind.
exec 3<&0
run &
cat <&3 >/dev/null &
wait -n
