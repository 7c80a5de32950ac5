#!/usr/bin/env bash
# Runs the tests that carry the build tag kubernetes, against a real control plane that each
# package starts and stops (internal/kubetest). One package at a time: a control plane needs
# close to 1 GB of memory. Of a package six tests at a time: they wait for controllers.
#
#   tools/kubernetes.sh [arguments of go test]   builds the control plane where it is not there, and says so
set -euo pipefail
cd "$(dirname "$0")/.."

tools/controlplane.sh >/dev/null
tagged() { grep -rl --include='*_test.go' '^//go:build kubernetes$' "$@"; }
# What is told from request to record needs all services, and minutes: short of that it waits for
# whoever asks for all.
rooms=(internal services e2e)
case " $* " in *" -short "*) rooms=(internal services) ;; esac
folders=$(tagged "${rooms[@]}" | xargs -n 1 dirname | sort -u)
failed=()
for folder in $folders; do
	# What stands beside them is tested with the rest of its module.
	names=$(tagged "$folder"/*_test.go | xargs sed -n 's/^func \(Test[A-Za-z0-9]*\)(t .*/\1/p' | paste -sd '|')
	GOWORK=off go -C "$folder" test -tags kubernetes -timeout 20m -parallel 6 -run "^($names)\$" "$@" . || failed+=("$folder")
done
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
