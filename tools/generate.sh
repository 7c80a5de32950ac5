#!/usr/bin/env bash
# Generates the Go code of proto/, or checks that what is committed is what would
# be generated.
#
#   tools/generate.sh            write what changed, remove what has no source any more
#   tools/generate.sh --check    change nothing; exit 1 and show the differences
#
# Everything is generated into a scratch folder first, so that a .proto file with a
# mistake in it leaves the tree as it was, and two runs at once do no harm.
set -euo pipefail
cd "$(dirname "$0")/.."

mode='write'
case "${1:-}" in
'') ;;
--check) mode=check ;;
*) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tools/third_party.sh
mkdir -p "$scratch/proto"
if [ -n "$(find proto -name '*.proto' -print -quit)" ]; then
	.bin/buf generate proto --template buf.gen.yaml --output "$scratch"
fi

# generated lists the generated files under a folder, relative to it.
generated() { (cd "$1" && find . -name '*.pb.go' | sed 's|^\./||'); }

status=0
while read -r file; do
	if [ -f "$scratch/proto/$file" ] && cmp -s "proto/$file" "$scratch/proto/$file"; then
		continue
	fi
	if [ "$mode" = check ]; then
		status=1
		diff -uN "proto/$file" "$scratch/proto/$file" | head -n 40 || true
	elif [ -f "$scratch/proto/$file" ]; then
		mkdir -p "$(dirname "proto/$file")"
		cp "$scratch/proto/$file" "proto/$file"
		echo "generated proto/$file"
	else
		rm "proto/$file"
		echo "removed proto/$file: its source is gone"
	fi
done < <({ generated proto; generated "$scratch/proto"; } | sort -u)

if [ "$status" -ne 0 ]; then
	echo "generated code differs from its sources: run 'make generate' and commit the result" >&2
fi
exit "$status"
