#!/usr/bin/env bash
# Tests every module of ours, each with its own heading, and fails if any does. `go test ./...`
# at the root would test the roof alone, and say so to nobody. What is slow is tested by
# tools/test-slow.sh.
#
# Without the workspace, so that what is tested is what an image builds. It costs no
# second build: with the same versions everywhere, the packages are the same. And without
# cgo, for the same reason; the race detector alone needs it.
#
#   tools/test.sh [arguments of go test]
#   tools/test.sh --module MODULE [arguments of go test]   one of them, as the rest of this script does it
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
case " $* " in
*" -race "*) export CGO_ENABLED=1 ;;
*) export CGO_ENABLED="${CGO_ENABLED:-0}" ;;
esac

if [ "${1:-}" = --module ]; then
	module=$2
	shift 2
	packages=$(go -C "$module" list ./... 2>/dev/null || go -C "$module" list ./...)
	if [ -z "$packages" ]; then
		echo "no packages yet"
		exit
	fi
	go -C "$module" test -timeout 60m "$@" ./...
	exit
fi

# By itself, so that a list that cannot be made ends it: tests of nothing would pass.
modules=$(tools/modules.sh)
# Those that take longest come first, so that none of them is alone at the end.
ordered=$(awk '
	BEGIN { split("services/executor . internal services/approval services/validator", long); for (i in long) rank[long[i]] = i }
	{ print ($0 in rank ? rank[$0] : 99), NR, $0 }' <<<"$modules" | sort -n -k 1,1 -k 2,2 | cut -d ' ' -f 3-)

tools/beside.sh modules tools/test.sh --module "$@" <<<"$ordered"
echo "What is slow, with Kubernetes and Terraform, chaos and bench, is tested by make test-slow."
