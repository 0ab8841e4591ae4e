#!/usr/bin/env bash
# version.sh VERSION TIME: what "git describe" says, as deb and rpm want it.
# Neither takes a hyphen. Both sort ~ before the end and + after it: a candidate
# comes before its release, a commit after the tag that it follows. Without a tag
# the commit's TIME (seconds since 1970) puts builds in order, before any release.
set -euo pipefail
described=${1#v} time=$2 after=

if [[ $described == *-dirty ]]; then
	described=${described%-dirty} after=+dirty
fi
if [[ $described =~ ^(.*)-([0-9]+)-g([0-9a-f]+)$ ]]; then
	described=${BASH_REMATCH[1]} after=+${BASH_REMATCH[2]}.g${BASH_REMATCH[3]}$after
fi
if [[ $described =~ ^[0-9]+\.[0-9] ]]; then
	version=${described/-/\~} # the first hyphen begins what comes before the release
else
	version=0.0.0~git$(date -u -d "@$time" +%Y%m%d%H%M%S).$described
fi
version=${version//-/.}$after

if [[ ! $version =~ ^[0-9A-Za-z.+~]+$ ]]; then
	echo "version.sh: $1 is no version that a package can have" >&2
	exit 1
fi
echo "$version"
