#!/usr/bin/env bash
# build.sh DIR PACKAGER:ARCH...: builds packages such as deb:amd64 or rpm:arm64
# into DIR and prints their files. VERSION is what "git describe" says, NFPM the
# nfpm to use. The same commit gives the same bytes, wherever and whenever.
set -euo pipefail
: "${VERSION:?}" "${NFPM:?}"
dir=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."
# Packages are readable by all, however careful the one who builds them is.
umask 022

# The time of all that is in the packages. A tree without git has none.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
PACKAGE_VERSION=$(packaging/version.sh "$VERSION" "$SOURCE_DATE_EPOCH")
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export SOURCE_DATE_EPOCH PACKAGE_VERSION STAGE ARCH

go run ./packaging/generate -o "$STAGE" -version "$PACKAGE_VERSION" -time "$SOURCE_DATE_EPOCH"

# nfpm takes a tree's modes and times as it finds them: they must not be those of
# somebody's clone.
cp -r deploy/ansible "$STAGE/ansible"
mv "$STAGE/ansible/units" "$STAGE/playbook-units"
cp -r deploy/image "$STAGE/image"
mkdir "$STAGE/docs"
cp -r docs/*.md docs/img docs/traces "$STAGE/docs"
# Links between documents are those of a clone, where the folders lie otherwise.
sed -i -e 's|](\.\./deploy/|](../../shoal/|g' -e 's|](\.\./packaging/shoal\.toml|](examples/shoal.toml|g' \
	-e 's|docs/traces/|/usr/share/doc/shoal/traces/|g' "$STAGE"/docs/*.md
find "$STAGE/ansible" "$STAGE/image" -name '*.md' -exec sed -i -E 's#\]\(((\.\./)+)docs/#](\1doc/shoal/#g' {} +
find "$STAGE/ansible" \( -name '.*' -o -name tests -o -name molecule \) -prune -exec rm -rf {} +
chmod -R u=rwX,go=rX "$STAGE"
find "$STAGE" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$dir"
built=" "
for package in "$@"; do
	packager=${package%:*} ARCH=${package#*:}
	if [[ $built != *" $ARCH "* ]]; then
		GOOS=linux GOARCH=$ARCH make --no-print-directory build VERSION="$VERSION" BINARY="$STAGE/$ARCH/shoal" >&2
		built+="$ARCH "
	fi
	case $package in
	deb:*) file=$dir/shoal_${PACKAGE_VERSION}_$ARCH.deb ;;
	rpm:amd64) file=$dir/shoal-$PACKAGE_VERSION.x86_64.rpm ;;
	rpm:arm64) file=$dir/shoal-$PACKAGE_VERSION.aarch64.rpm ;;
	*)
		echo "build.sh: no way is known to build $package" >&2
		exit 2
		;;
	esac
	"$NFPM" package --config packaging/nfpm.yaml --packager "$packager" --target "$file" >/dev/null
	echo "$file"
done
