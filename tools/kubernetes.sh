#!/usr/bin/env bash
# Runs the tests that carry the build tag kubernetes, against a real control plane, which is
# started once for all of them and stopped afterwards (internal/kubetest). Two packages of a
# module at a time, and of a package six tests: they wait for controllers.
#
#   tools/kubernetes.sh [arguments of go test]   builds the control plane where it is not there, and says so
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${SHIPWARDEN_KUBETEST:-}" ]; then
	tools/controlplane.sh >/dev/null
	with=$(mktemp)
	trap 'rm -f "$with"' EXIT
	GOWORK=off go -C internal build -o "$with" ./kubetest/withkubetest
	"$with" "$BASH" tools/kubernetes.sh "$@"
	exit
fi

tagged() { grep -rl --include='*_test.go' '^//go:build kubernetes$' "$@"; }
# What is told from request to record needs all services, and minutes: short of that it waits for
# whoever asks for all.
rooms=(internal services/executor services/validator e2e)
case " $* " in *" -short "*) rooms=(internal services/executor services/validator) ;; esac
failed=()
for room in "${rooms[@]}"; do
	# What stands beside them is tested with the rest of its module.
	names=$(tagged "$room" | xargs sed -n 's/^func \(Test[A-Za-z0-9]*\)(t .*/\1/p' | sort -u | paste -sd '|')
	folders=$(tagged "$room" | xargs -n 1 dirname | sort -u | sed "s|^$room|.|")
	# shellcheck disable=SC2086 # each is an argument
	GOWORK=off go -C "$room" test -tags kubernetes -timeout 60m -p 2 -parallel 6 -run "^($names)\$" "$@" $folders || failed+=("$room")
done
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
