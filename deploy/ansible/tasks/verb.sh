#!/bin/sh
# Runs one of shoal's verbs for a playbook: verb.sh PROGRAM VERB
#
# Its object goes to stdout, its log straight to the journal, line by line as it
# is written: Ansible would show it only at the end, hours later after a drain.
#
# "systemctl stop" signals every process of the unit at once. Ansible's die of
# it, and shoal would die of the next line that it writes into their pipes, in
# the middle of what it must finish. So it writes into no pipe of theirs.
set -u
program=$1 verb=$2
trap : TERM INT HUP # shoal is signalled too: its end is waited for, and told

object=$(mktemp) && log=$(mktemp) || exit 1
# shellcheck disable=SC2094 # written first, read once shoal has ended
exec 3>"$object" 4<"$object" 5>"$log" 6<"$log"
rm -f "$object" "$log" # nothing stays behind, whatever ends this script

if [ -S /run/systemd/journal/stdout ] && command -v systemd-cat >/dev/null; then
	# shellcheck disable=SC2016 # the inner shell expands it
	systemd-cat --identifier=shoal sh -c 'exec "$0" "$@" >&3 3>&- 4<&- 5>&- 6<&-' "$program" "$verb" --json
	code=$?
	# A mistake in the configuration has no object: told once more, where Ansible sees it.
	if [ "$code" = 2 ]; then "$program" config check >&5 2>&5; fi
else
	"$program" "$verb" --json >&3 2>&5 3>&- 4<&- 5>&- 6<&-
	code=$?
fi
cat <&6 >&2
cat <&4
exit "$code"
