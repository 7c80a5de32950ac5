#!/usr/bin/env bash
# Tests every module of ours, each with its own heading, and fails if any does. What needs
# a real Kubernetes has its control plane built first, once (tools/kubernetes.sh), and what
# needs Terraform uses the one that is installed or has one built (tools/terraform.sh).
# `go test ./...` at the root would test the roof alone, and say so to nobody.
#
# Three at a time: tests wait as much as they compute, for elections, leases and processes,
# and the longest package of a module would be alone at its end. What one of them says is
# shown as a whole when it has ended.
#
# Without the workspace, so that what is tested is what an image builds. It costs no
# second build: with the same versions everywhere, the packages are the same. And without
# cgo, for the same reason; the race detector alone needs it.
#
#   tools/test.sh [arguments of go test]
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
case " $* " in
*" -race "*) export CGO_ENABLED=1 ;;
*) export CGO_ENABLED="${CGO_ENABLED:-0}" ;;
esac

# one tests a module, or what needs Kubernetes or Terraform.
one() {
	local module=$1 packages
	shift
	if [ "$module" = kubernetes ]; then
		if [ $# -eq 0 ] || tools/controlplane.sh --there >/dev/null; then
			tools/kubernetes.sh -short "$@"
		else
			echo "NOT RUN: some tests were asked for, and the control plane of those against Kubernetes is not built here; 'make e2e-kubernetes' builds it"
		fi
		return
	fi
	if [ "$module" = terraform ]; then
		if [ $# -eq 0 ] || tools/terraform.sh --there >/dev/null; then
			tools/terraform.sh -short "$@"
		else
			echo "NOT RUN: some tests were asked for, and there is no Terraform here; 'make e2e-terraform' builds one"
		fi
		return
	fi
	packages=$(go -C "$module" list ./... 2>/dev/null || go -C "$module" list ./...) || return
	if [ -z "$packages" ]; then
		echo "no packages yet"
		return
	fi
	go -C "$module" test -timeout 10m "$@" ./...
}

# The script starts itself for each of them, with the module as the last argument. What is
# said is kept, and the end reported in a line that is too short for another to get into it.
if [ -n "${SHIPWARDEN_TEST_LOGS:-}" ]; then
	module=${!#}
	set -- "${@:1:$#-1}"
	result=ok
	one "$module" "$@" >"$SHIPWARDEN_TEST_LOGS/log-${module//\//_}" 2>&1 </dev/null || result=FAIL
	echo "$result $SECONDS $module"
	exit
fi

SHIPWARDEN_TEST_LOGS=$(mktemp -d)
export SHIPWARDEN_TEST_LOGS
remove=("$SHIPWARDEN_TEST_LOGS")
trap 'rm -rf "${remove[@]}"' EXIT

# The stores of the many servers that tests start and throw away lie in memory where
# there is room for them: what a disk adds to a write is paid thousands of times, and
# what tests kill are processes and not the machine. TMPDIR says otherwise. What the
# compiler writes stays where it was. PostgreSQL's user must be able to pass through.
if [ -z "${TMPDIR:-}" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')" -ge 6291456 ] 2>/dev/null; then
	TMPDIR=$(mktemp -d /dev/shm/shipwarden-test.XXXXXX)
	chmod 755 "$TMPDIR"
	remove+=("$TMPDIR")
	export TMPDIR GOTMPDIR="${GOTMPDIR:-/tmp}"
fi

# Garbage is collected less often where there is memory for it: tests make much of it, and
# keep little; so do the servers that they start.
if [ -z "${GOGC:-}" ] && [ "$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null)" -ge 12582912 ] 2>/dev/null; then
	export GOGC=600
fi

# By itself, so that a list that cannot be made ends it: tests of nothing would pass.
modules=$(tools/modules.sh)
if [ $# -eq 0 ]; then
	tools/controlplane.sh >/dev/null
	tools/terraform.sh --path >/dev/null
	tools/localprovider.sh >/dev/null
fi

# Those that take longest come first, so that none of them is alone at the end.
ordered=$({ echo kubernetes; echo terraform; echo "$modules"; } | awk '
	BEGIN { split(". services/executor kubernetes terraform internal services/approval services/validator", long); for (i in long) rank[long[i]] = i }
	{ print ($0 in rank ? rank[$0] : 99), NR, $0 }' | sort -n -k 1,1 -k 2,2 | cut -d ' ' -f 3-)

echo "Testing $(wc -w <<<"$ordered") modules, three at a time; what each says is shown when it has ended."
ended=$SHIPWARDEN_TEST_LOGS/ended
: >"$ended"
printf '%s\n' "$ordered" | xargs -n 1 -P 3 "$BASH" tools/test.sh "$@" |
	while read -r result seconds module; do
		printf '\n== test %s\n' "$module"
		cat "$SHIPWARDEN_TEST_LOGS/log-${module//\//_}"
		echo "-- $module: $seconds s"
		echo "$result $module" >>"$ended"
	done || true

# One that was killed has reported nothing, and has failed.
failed=()
while read -r module; do
	grep -qxF "ok $module" "$ended" || failed+=("$module")
done <<<"$ordered"
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
printf '\nok: every module passed\n'
