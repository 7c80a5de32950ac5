#!/usr/bin/env bash
# Runs the tests that carry the build tag terraform, against a real Terraform or OpenTofu: the
# one that SHIPWARDEN_TERRAFORM names, one that is installed, or OpenTofu from its own modules
# (tools/terraform), which is built once, into ~/.cache/shipwarden, and then stays until one of
# its pins or the version of Go changes.
#
#   tools/terraform.sh [arguments of go test]   builds it where there is none, and says so
#   tools/terraform.sh --path                   the same, and prints where it is
#   tools/terraform.sh --there                  builds nothing: exits with 1 where there is none
#   tools/terraform.sh --pinned [arguments]     with the pinned OpenTofu, whatever is installed
set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest whose plans in JSON say all that is looked at.
oldest=1.8

pinned=
if [ "${1:-}" = --pinned ]; then
	pinned=1
	shift
fi

installed() {
	if [ -n "${SHIPWARDEN_TERRAFORM:-}" ]; then
		echo "$SHIPWARDEN_TERRAFORM"
		return
	fi
	[ -z "$pinned" ] || return 1
	local program version
	for program in terraform tofu; do
		program=$(command -v "$program") || continue
		version=$(CHECKPOINT_DISABLE=1 "$program" version 2>/dev/null | sed -n '1s/.* v\([0-9.]*\).*/\1/p') || continue
		if [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ]; then
			echo "$program"
			return
		fi
	done
	return 1
}

# In a shell of its own, which ends at the first failure: it is called where bash would ignore one.
built() (
	set -e
	export GOWORK=off CGO_ENABLED=0
	version=$(sed -n 's|^\tgithub.com/opentofu/opentofu \(v[^ ]*\).*$|\1|p' tools/terraform/go.mod)
	goversion=$(go env GOVERSION GOOS GOARCH)
	sum=$({ cat tools/terraform/go.mod tools/terraform/go.sum; echo "$goversion"; } | cksum | cut -d ' ' -f 1)
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/shipwarden
	program=$cache/tofu-$sum
	if [ -x "$program" ]; then
		echo "$program"
		exit
	fi
	if [ "$1" = --there ]; then
		exit 1
	fi
	echo "terraform: OpenTofu $version is not built here yet, and is built from source now, once: some 7 minutes of one core" >&2
	started=$SECONDS
	mkdir -p "$cache"
	# Two that build at once write a file each, and the later one puts the same in its place.
	new=$(mktemp "$cache/building.XXXXXX")
	trap 'rm -f "$new"' EXIT
	go -C tools/terraform build -trimpath -buildvcs=false -ldflags "-s -w" -o "$new" github.com/opentofu/opentofu/cmd/tofu || exit 2
	chmod 755 "$new" && mv "$new" "$program" || exit 2
	echo "terraform: built in $((SECONDS - started)) s" >&2
	echo "$program"
)

mode=${1:---path}
case $mode in
--path | --there) ;;
*) mode=--path ;;
esac
program=$(installed) || program=
if [ -z "$program" ]; then
	program=$(built "$mode") || exit
fi
if [ "${1:-}" = "$mode" ]; then
	echo "$program"
	exit
fi

export SHIPWARDEN_TERRAFORM=$program
SHIPWARDEN_TERRAFORM_PROVIDERS=$(tools/localprovider.sh)
export SHIPWARDEN_TERRAFORM_PROVIDERS
echo "with $SHIPWARDEN_TERRAFORM: $(CHECKPOINT_DISABLE=1 "$SHIPWARDEN_TERRAFORM" version 2>/dev/null | head -n 1)"
tagged() { grep -rl --include='*_test.go' '^//go:build terraform$' "$@"; }
# What is told from request to record is for whoever asks for all.
rooms=(services e2e)
case " $* " in *" -short "*) rooms=(services) ;; esac
folders=$(tagged "${rooms[@]}" | xargs -n 1 dirname | sort -u)
failed=()
for folder in $folders; do
	# What stands beside them is tested with the rest of its module.
	names=$(tagged "$folder"/*_test.go | xargs sed -n 's/^func \(Test[A-Za-z0-9]*\)(t .*/\1/p' | paste -sd '|')
	GOWORK=off go -C "$folder" test -tags terraform -timeout 40m -run "^($names)\$" "$@" . || failed+=("$folder")
done
if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %s\n' "${failed[*]}"
	exit 1
fi
