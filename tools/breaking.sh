#!/usr/bin/env bash
# Compares the contract with the one that was last accepted, proto/contract.binpb. It is
# committed, so that no history is needed, and no series of commits leads around it: it
# must hold the contract as it is, and takes a broken one in only when that is said.
#
#   tools/breaking.sh            nothing was broken, and the accepted contract is this one
#   tools/breaking.sh --accept   accept what was added; refuse what was broken
#   tools/breaking.sh --break    accept whatever changed
set -euo pipefail
cd "$(dirname "$0")/.."

tools/third_party.sh
accepted=proto/contract.binpb
now=$(mktemp -d)/now.binpb
trap 'rm -rf "${now%/*}"' EXIT
.bin/buf build proto --as-file-descriptor-set --exclude-source-info -o "$now"

[ "${1:-}" = --break ] || .bin/buf breaking proto --against "$accepted"
case "${1:-}" in
'')
	if ! cmp --quiet "$now" "$accepted"; then
		echo "$accepted lacks what was added to the contract: run 'make contract' and commit it" >&2
		exit 1
	fi
	;;
--accept | --break) cp "$now" "$accepted" ;;
*) echo "usage: $0 [--accept | --break]" >&2; exit 2 ;;
esac
