#!/usr/bin/env bash
# Tests every module of ours, each with its own heading, and fails if any does.
# `go test ./...` at the root would test the roof alone, and say so to nobody.
#
#   tools/test.sh [arguments of go test]
set -euo pipefail
cd "$(dirname "$0")/.."

failed=()
for module in $(tools/modules.sh); do
	printf '\n== test %s\n' "$module"
	started=$SECONDS
	# What is not in go.work is built without it.
	case "$module" in
	tools/*) export GOWORK=off ;;
	*) unset GOWORK ;;
	esac
	packages=$(go -C "$module" list ./... 2>/dev/null || go -C "$module" list ./...) || { failed+=("$module"); continue; }
	if [ -z "$packages" ]; then
		echo "no packages yet"
		continue
	fi
	go -C "$module" test -timeout 10m "$@" ./... || failed+=("$module")
	echo "-- $module: $((SECONDS - started)) s"
done

if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
printf '\nok: every module passed\n'
