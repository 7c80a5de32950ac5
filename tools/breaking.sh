#!/usr/bin/env bash
# Compares the contract with the one that others may have: that of origin/main, or
# of the commit before when this is origin/main already, as it is in CI. A shallow
# clone has neither, and a first commit has no contract before it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! head=$(git rev-parse --verify HEAD 2>/dev/null); then
	echo "note: no git history here, nothing to compare with"
	exit
fi
base=
for candidate in origin/main HEAD~1; do
	commit=$(git rev-parse --quiet --verify "$candidate^{commit}") || continue
	if [ "$commit" != "$head" ]; then
		base=$candidate
		break
	fi
done
if [ -z "$base" ]; then
	echo "note: no earlier commit here, nothing to compare with"
	exit
fi
if ! git ls-tree -r --name-only "$base" -- proto | grep '\.proto$' >/dev/null; then
	echo "note: $base has no contract yet, nothing to compare with"
	exit
fi

# buf could read the earlier tree out of git itself, but third_party is not in it.
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$base" proto | tar -x -C "$before"
cp -R third_party buf.yaml "$before/"
.bin/buf breaking --against "$before"
echo "note: compared with $base"
