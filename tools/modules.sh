#!/usr/bin/env bash
# Prints the folders of our modules, the deepest in the import direction first: a
# mistake in proto is then reported where it was made.
#
#   tools/modules.sh           the modules of go.work, the example, and the tools that we wrote
#   tools/modules.sh --work    the modules of go.work alone
#   tools/modules.sh --pins    the modules that hold the versions of tools, and what no other check builds
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --pins ]; then
	printf '%s\n' tools/buf tools/charts tools/clients tools/controlplane tools/helm tools/lint tools/localprovider tools/protoc tools/relay tools/terraform
	exit
fi
# Whoever works without the workspace wants to know of it all the same.
GOWORK='' go work edit -json | sed -n 's/.*"DiskPath": "\(.*\)".*/\1/p' | sed 's|^\./||' |
	awk '
		/^proto$/     { print 1, $0; next }
		/^procedure$/ { print 2, $0; next }
		/^internal$/  { print 3, $0; next }
		/^services\// { print 4, $0; next }
		              { print 5, $0 }
	' | sort | cut -d ' ' -f 2-
if [ "${1:-}" != --work ]; then
	printf '%s\n' examples/shop tools/mutants tools/protodeps tools/provider
fi
