#!/usr/bin/env bash
# Builds the control plane of Kubernetes that tests run (tools/controlplane), once, into
# ~/.cache/shipwarden, and prints where it is. The name holds a sum over what it is built
# from, how, and the version of Go, so that it stays until one of them changes, and is
# shared by all checkouts on a machine. Running this again costs nothing and changes nothing.
#
#   tools/controlplane.sh           builds it where it is not there
#   tools/controlplane.sh --there   builds nothing: exits with 1 where it is not there
set -euo pipefail
cd "$(dirname "$0")/controlplane"
export GOWORK=off CGO_ENABLED=0

pinned() { sed -n "s|^\t$1 \(v[^ ]*\)\$|\1|p" go.mod; }
kubernetes=$(pinned k8s.io/kubernetes)
kwok=$(pinned sigs.k8s.io/kwok)
minor=${kubernetes#v1.}
base=k8s.io/component-base/version
# What a server says of its version, which charts and clients go by, is said to the linker.
flags="-s -w -X $base.gitVersion=$kubernetes -X $base.gitMajor=1 -X $base.gitMinor=${minor%%.*}
	-X $base.gitTreeState=clean -X $base.gitCommit=module -X $base.buildDate=1970-01-01T00:00:00Z
	-X k8s.io/client-go/pkg/version.gitVersion=$kubernetes -X sigs.k8s.io/kwok/pkg/consts.Version=$kwok"

goversion=$(go env GOVERSION GOOS GOARCH)
sum=$({ cat go.mod go.sum main.go; echo "$flags" "$goversion"; } | cksum | cut -d ' ' -f 1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shipwarden
program=$cache/controlplane-$sum

if [ -x "$program" ]; then
	echo "$program"
	exit
fi
if [ "${1:-}" = --there ]; then
	exit 1
fi
echo "controlplane: Kubernetes $kubernetes is not built here yet, and is built from source now, once: some 20 minutes of one core" >&2
started=$SECONDS
mkdir -p "$cache"
# Two that build at once write a file each, and the later one puts the same in its place.
new=$(mktemp "$cache/building.XXXXXX")
trap 'rm -f "$new"' EXIT
go build -trimpath -buildvcs=false -ldflags "$flags" -o "$new" .
chmod 755 "$new"
mv "$new" "$program"
echo "controlplane: built in $((SECONDS - started)) s" >&2
echo "$program"
