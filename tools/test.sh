#!/usr/bin/env bash
# Tests every module of ours, each with its own heading, and fails if any does. What needs
# a real Kubernetes has its control plane built first, once (tools/kubernetes.sh).
# `go test ./...` at the root would test the roof alone, and say so to nobody.
#
# Without the workspace, so that what is tested is what an image builds. It costs no
# second build: with the same versions everywhere, the packages are the same.
#
#   tools/test.sh [arguments of go test]
set -euo pipefail
cd "$(dirname "$0")/.."

# The stores of the many servers that tests start and throw away lie in memory where
# there is room for them: what a disk adds to a write is paid thousands of times, and
# what tests kill are processes and not the machine. TMPDIR says otherwise. What the
# compiler writes stays where it was. PostgreSQL's user must be able to pass through.
if [ -z "${TMPDIR:-}" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')" -ge 6291456 ] 2>/dev/null; then
	TMPDIR=$(mktemp -d /dev/shm/shipwarden-test.XXXXXX)
	chmod 755 "$TMPDIR"
	trap 'rm -rf "$TMPDIR"' EXIT
	export TMPDIR GOTMPDIR="${GOTMPDIR:-/tmp}"
fi

# By itself, so that a list that cannot be made ends it: tests of nothing would pass.
modules=$(tools/modules.sh)
export GOWORK=off
failed=()
for module in $modules; do
	printf '\n== test %s\n' "$module"
	started=$SECONDS
	packages=$(go -C "$module" list ./... 2>/dev/null || go -C "$module" list ./...) || { failed+=("$module"); continue; }
	if [ -z "$packages" ]; then
		echo "no packages yet"
		continue
	fi
	go -C "$module" test -timeout 10m "$@" ./... || failed+=("$module")
	echo "-- $module: $((SECONDS - started)) s"
done

printf '\n== test against Kubernetes\n'
started=$SECONDS
if [ $# -eq 0 ] || tools/controlplane.sh --there >/dev/null; then
	tools/kubernetes.sh -short "$@" || failed+=(kubernetes)
else
	echo "NOT RUN: some tests were asked for, and the control plane of those against Kubernetes is not built here; 'make e2e-kubernetes' builds it"
fi
echo "-- kubernetes: $((SECONDS - started)) s"

if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
printf '\nok: every module passed\n'
