#!/usr/bin/env bash
# Fuzzes everything that reads foreign bytes: every func Fuzz… of every module, one after
# the other, each for FUZZTIME (1m). What is found is kept by go test in testdata/fuzz of
# the package, where it is a seed from then on: commit it with what mends it.
#
#   tools/fuzz.sh             all of them
#   tools/fuzz.sh Calendar    those whose name or package matches
#   tools/fuzz.sh --list      their names
set -euo pipefail
cd "$(dirname "$0")/.."

# Every folder is tested in the module that it is of: the nearest one above it.
targets() {
	grep --recursive --include='*_test.go' --exclude-dir={.git,.bin,third_party} --only-matching '^func Fuzz[A-Za-z0-9_]*' . |
		while IFS=: read -r file function; do
			folder=$(dirname "${file#./}")
			printf '%s %s\n' "$folder" "${function#func }"
		done | sort -u
}

all=$(targets)
[ "${1:-}" != --list ] || { printf '%s\n' "$all"; exit; }
chosen=$(grep -E -- "${1:-.}" <<<"$all") || { echo "no fuzz target matches $1" >&2; exit 2; }

# Without a bound, making one long input shorter takes all of the time, and nothing is tried.
failed=
while read -r folder target; do
	echo "== $folder $target"
	GOWORK=off go -C "$folder" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" -fuzzminimizetime 20x -parallel "${FUZZPARALLEL:-2}" . || failed+=" $target"
done <<<"$chosen"
[ -z "$failed" ] || { echo "found something:$failed" >&2; exit 1; }
