#!/usr/bin/env bash
# Tests in its short form what has a target of its own, because it is slow or has much to
# build: what needs a real Kubernetes, whose control plane is built first, once
# (tools/kubernetes.sh), what needs Terraform, with the one that is installed or one that is
# built (tools/terraform.sh), and what carries the build tag slow: chaos and bench.
#
#   tools/test-slow.sh [arguments of go test]
#   tools/test-slow.sh --suite SUITE [arguments of go test]   one of them, as the rest of this script does it
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off CGO_ENABLED="${CGO_ENABLED:-0}"

if [ "${1:-}" = --suite ]; then
	suite=$2
	shift 2
	case $suite in
	kubernetes) tools/kubernetes.sh -short "$@" ;;
	terraform) tools/terraform.sh -short "$@" ;;
	*) go test -tags slow -timeout 60m "$@" "./e2e/$suite" ;;
	esac
	exit
fi

tools/controlplane.sh >/dev/null
tools/terraform.sh --path >/dev/null
tools/localprovider.sh >/dev/null
printf '%s\n' kubernetes terraform bench chaos | tools/beside.sh 'slow suites' tools/test-slow.sh --suite "$@"
