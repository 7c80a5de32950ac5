#!/usr/bin/env bash
# Builds the provider of Terraform with which tests change by hand what Terraform has made
# (tools/localprovider), once, into ~/.cache/shipwarden, and prints the folder that it lies in, laid
# out as a file system mirror. It is called shipwarden.test/hashicorp/local there, which is the same
# for Terraform and OpenTofu. It stays until one of its pins or the version of Go changes.
set -euo pipefail
cd "$(dirname "$0")/localprovider"
export GOWORK=off CGO_ENABLED=0

module=github.com/terraform-providers/terraform-provider-local
version=$(sed -n "s|^\t$module v\([^ ]*\).*\$|\1|p" go.mod)
goversion=$(go env GOVERSION GOOS GOARCH)
sum=$({ cat go.mod go.sum; echo "$goversion"; } | cksum | cut -d ' ' -f 1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shipwarden
mirror=$cache/localprovider-$sum
folder=$mirror/shipwarden.test/hashicorp/local/$version/$(go env GOOS)_$(go env GOARCH)
program=$folder/terraform-provider-local_v$version

if [ ! -x "$program" ]; then
	echo "localprovider: $module $version is not built here yet, and is built from source now, once: half a minute of one core" >&2
	mkdir -p "$folder"
	# Two that build at once write a file each, and the later one puts the same in its place.
	new=$(mktemp "$cache/building.XXXXXX")
	trap 'rm -f "$new"' EXIT
	go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$new" "$module"
	chmod 755 "$new"
	mv "$new" "$program"
fi
echo "$mirror"
