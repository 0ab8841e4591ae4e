#!/bin/sh
# Runs the user's own tasks before the drain, all of them in SECONDS: own.sh SECONDS NOTICE COMMAND...
#
# Where the notice has a deadline they get a quarter of what is left until then at
# most: a run after a failed one finds less, and the drain needs the rest.
#
# What they print goes to a file, which is told in the end: a process that outlives
# them would keep a pipe open, and Ansible waits for the end of a pipe.
set -u
seconds=$1 notice=$2
shift 2
deadline=$(sed -n 's/.*"deadline": *"\([^"]*\)".*/\1/p' "$notice" 2>/dev/null)
if [ -n "$deadline" ] && end=$(date -d "$deadline" +%s); then
	quarter=$(((end - $(date +%s)) / 4))
	[ "$quarter" -ge "$seconds" ] || seconds=$quarter
fi
if [ "$seconds" -lt 1 ]; then
	echo "no time is left for your tasks: they were not started"
	exit 124
fi

out=$(mktemp) || exit 1
# shellcheck disable=SC2094 # written first, read once they have ended
exec 3>"$out" 4<"$out"
rm -f "$out" # nothing stays behind, whatever ends this script
# It ends all that they started, first kindly, two seconds later by force.
timeout --kill-after=2 "$seconds" "$@" >&3 2>&1 3>&- 4<&- </dev/null &
pid=$!
trap 'kill "$pid"' TERM INT HUP # timeout makes a process group of its own, which a terminal does not reach
wait "$pid"
code=$?
tail -c 65536 <&4 # what loops must not fill the journal
case $code in
124 | 137)
	echo "your tasks were ended after $seconds s"
	code=124
	;;
esac
exit "$code"
