#!/usr/bin/env bash
# Writes third_party/ (see tools/protodeps) when the program that writes it, or a
# module that it reads from, has changed since.
set -euo pipefail
cd "$(dirname "$0")/.."

want=$(cat tools/protodeps/*.go tools/protodeps/go.sum | cksum)
stamp=third_party/.stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
	exit 0
fi
GOWORK=off go -C tools/protodeps run . "$PWD/third_party"
echo "$want" >"$stamp"
