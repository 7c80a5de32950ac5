#!/usr/bin/env bash
# Builds the command and the services into bin/, each in its own module and without
# the workspace, as the images are built.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
mkdir -p bin
modules=$(tools/modules.sh --work)
for module in $modules; do
	mains=$(GOWORK=off go -C "$module" list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...)
	for main in $mains; do
		[[ $main == */cmd/shipwarden* ]] || continue # what only tests and tools run
		GOWORK=off CGO_ENABLED=0 go -C "$module" build -trimpath \
			-ldflags "-X github.com/blackdice/shipwarden/internal/service.version=$version" \
			-o "$PWD/bin/${main##*/}" "$main"
		echo "built bin/${main##*/}"
	done
done
