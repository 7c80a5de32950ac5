#!/usr/bin/env bash
# Runs a program once for each name that it reads, two at a time, with each its own heading,
# and fails if any of them does: tests wait as much as they compute, for elections, leases
# and processes, and the longest package of a module would be alone at its end. What one of
# them says is shown as a whole when it has ended.
#
#   tools/beside.sh WHAT PROGRAM OPTION [ARGUMENTS] <names   runs PROGRAM OPTION name ARGUMENTS
#
# WHAT says what they are, for people.
set -euo pipefail
cd "$(dirname "$0")/.."

# The script starts itself for each of them, with the name as the last argument. What is
# said is kept, and the end reported in a line that is too short for another to get into it.
if [ -n "${SHIPWARDEN_BESIDE:-}" ]; then
	logs=$SHIPWARDEN_BESIDE
	unset SHIPWARDEN_BESIDE # What it runs may do this, too.
	name=${!#} program=$1 option=$2
	set -- "${@:3:$#-3}"
	result=ok
	"$BASH" "$program" "$option" "$name" "$@" >"$logs/log-${name//\//_}" 2>&1 </dev/null || result=FAIL
	echo "$result $SECONDS $name"
	exit
fi

what=$1
shift
names=$(cat)

SHIPWARDEN_BESIDE=$(mktemp -d)
export SHIPWARDEN_BESIDE
remove=("$SHIPWARDEN_BESIDE")
trap 'rm -rf "${remove[@]}"' EXIT

# What tests write and throw away, the stores of many servers above all, lies in memory where
# there is room for it, and for what the compiler makes beside it: what a disk adds to a write
# is paid thousands of times, and what tests kill are processes and not the machine. TMPDIR
# says otherwise. The path is short because sockets lie in it, and PostgreSQL's user must be
# able to pass through. Where nothing may be run out of it, tests could not run theirs.
if [ -z "${TMPDIR:-}${GOTMPDIR:-}" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')" -ge 10485760 ] 2>/dev/null; then
	if memory=$(mktemp -d /dev/shm/sw.XXXXXX 2>/dev/null); then
		chmod 755 "$memory"
		remove+=("$memory")
		install -m 755 /dev/null "$memory/may-run"
		if "$memory/may-run" 2>/dev/null; then
			export TMPDIR=$memory
		fi
	fi
fi

# Garbage is collected less often where there is memory for it: tests make much of it, and
# keep little; so do the servers that they start.
if [ -z "${GOGC:-}" ] && [ "$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null)" -ge 12582912 ] 2>/dev/null; then
	export GOGC=600
fi

echo "Testing $(wc -w <<<"$names") $what, two at a time; what each says is shown when it has ended."
ended=$SHIPWARDEN_BESIDE/ended
: >"$ended"
printf '%s\n' "$names" | xargs -n 1 -P 2 "$BASH" tools/beside.sh "$@" |
	while read -r result seconds name; do
		printf '\n== test %s\n' "$name"
		cat "$SHIPWARDEN_BESIDE/log-${name//\//_}"
		echo "-- $name: $seconds s"
		echo "$result $name" >>"$ended"
	done || true

# One that was killed has reported nothing, and has failed.
failed=()
while read -r name; do
	grep -qxF "ok $name" "$ended" || failed+=("$name")
done <<<"$names"
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
printf '\nok: every one of them passed\n'
