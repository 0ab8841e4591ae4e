#!/bin/sh
# Puts each defect back in, on a copy, and demands that its test goes red.
# usage: test/defects/check.sh [name...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM

survived=0
for patch in "$here"/*.patch; do
	name=$(basename "$patch" .patch)
	case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
	number=${name%%-*}
	number=${number%%[a-z]*}
	rm -rf "$copy/internal"
	mkdir -p "$copy/internal"
	cp "$root/go.mod" "$root/go.sum" "$copy/"
	for package in fleet scaling life agent; do
		cp -R "$root/internal/$package" "$copy/internal/"
	done
	if ! (cd "$copy" && patch -s -p1 <"$patch" && go vet ./internal/life ./internal/agent) >"$copy/log" 2>&1; then
		cat "$copy/log"
		echo "defect $name: the patch no longer fits: bring it up to date" >&2
		survived=1
	elif (cd "$copy" && go test -count=1 -run "^TestDefect${number}[A-Z]" ./internal/life ./internal/agent) >"$copy/log" 2>&1; then
		echo "defect $name: SURVIVES: TestDefect$number… is green with it" >&2
		survived=1
	elif ! grep -q -e "^--- FAIL: TestDefect${number}[A-Z]" "$copy/log"; then
		cat "$copy/log"
		echo "defect $name: no test of its name failed" >&2
		survived=1
	else
		echo "defect $name: $(grep -e '^--- FAIL' "$copy/log" | head -n 1 | cut -d' ' -f3) goes red"
	fi
done
exit $survived
