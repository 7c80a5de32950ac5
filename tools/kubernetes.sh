#!/usr/bin/env bash
# Runs the tests that carry the build tag kubernetes, against a real control plane that each
# package starts and stops (internal/kubetest). One package at a time: a control plane needs
# close to 1 GB of memory.
#
#   tools/kubernetes.sh [arguments of go test]             builds the control plane where it is not there
#   tools/kubernetes.sh --if-built [arguments of go test]  where it is not there, says so and runs nothing
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --if-built ]; then
	shift
	tools/controlplane.sh --there >/dev/null || {
		echo "NOT RUN: the tests against Kubernetes, because its control plane is not built here; 'make e2e-kubernetes' builds it, once, and runs them"
		exit
	}
else
	tools/controlplane.sh >/dev/null
fi
folders=$(grep -rl --include='*_test.go' '^//go:build kubernetes$' internal services e2e | xargs -n 1 dirname | sort -u)
failed=()
for folder in $folders; do
	GOWORK=off go -C "$folder" test -tags kubernetes -timeout 20m "$@" . || failed+=("$folder")
done
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
