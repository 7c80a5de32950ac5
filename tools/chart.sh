#!/usr/bin/env bash
# Checks the Helm chart: it is linted and rendered with each set of example values,
# the manifests are examined, and values that make no sense are refused.
#
#   tools/chart.sh           check
#   tools/chart.sh --copy    copy rules and dashboard to where the chart can read them
set -euo pipefail
cd "$(dirname "$0")/.."
chart=deploy/helm/shipwarden
# A chart reads no files outside its own folder.
copies=(deploy/monitoring/rules.yaml deploy/monitoring/alerts.yaml deploy/dashboards/shipwarden.json)

if [ "${1:-}" = --copy ]; then
	cp "${copies[@]}" "$chart/files/"
	exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=
fail() {
	printf '%s\n' "$@"
	failed=yes
}

# helm without the plugins, repositories and settings of whoever runs this. The
# version is the oldest that the chart promises to work with.
helm() {
	env HELM_CONFIG_HOME="$scratch/config" HELM_CACHE_HOME="$scratch/cache" HELM_DATA_HOME="$scratch/data" \
		KUBECONFIG=/dev/null .bin/helm "$@" --kube-version 1.29.0
}

for file in "${copies[@]}"; do
	cmp "$file" "$chart/files/${file##*/}" || fail "the chart has an old $file: run tools/chart.sh --copy"
done

rendered=()
for values in "$chart"/ci/*-values.yaml "$chart"/values-*.yaml; do
	arguments=(--values "$values")
	# The example that gives no ConfigMap takes the document of the examples, and their trusted root.
	if [[ $values == */full-values.yaml ]]; then
		arguments+=(--set-file procedure.document=examples/starter.yaml)
		arguments+=(--set-file 'executor.sigstoreRoots.documents.public\.json=examples/sigstore/trusted_root.json')
	fi
	helm lint --strict --quiet "$chart" "${arguments[@]}" || fail "helm lint fails with $values"
	output=$scratch/$(basename "$values")
	if helm template release "$chart" --namespace shipwarden "${arguments[@]}" >"$output"; then
		rendered+=("$output")
	else
		fail "helm template fails with $values"
	fi
done
GOWORK=off go run ./deploy/charttest examples/starter.yaml "${rendered[@]}" || fail "the manifests are not in order"

# The first line of each file says what the refusal has to say.
for values in "$chart"/ci/refused/*.yaml; do
	wanted=$(sed -n '1s/^# refused: //p' "$values")
	if helm template release "$chart" --values "$chart/ci/minimal-values.yaml" --values "$values" >"$scratch/output" 2>&1; then
		fail "$values is not refused"
	elif [ -z "$wanted" ] || ! grep --quiet --fixed-strings -e "$wanted" "$scratch/output"; then
		fail "$values is refused otherwise than with: $wanted" "$(cat "$scratch/output")"
	fi
done

[ -z "$failed" ]
