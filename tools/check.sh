#!/usr/bin/env bash
# Says about the tree what can be said without running a test. Every step runs,
# whatever became of the one before, so that one run shows all there is to mend.
#
# The modules are built one by one and without the workspace, as the images are: the
# workspace would hide a missing requirement and unify versions that differ.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

failed=()

# step runs a command under a name, and shows its output when it fails. A function
# given to it must be a single command: `set -e` does not hold inside an if.
step() {
	local name=$1 started=$SECONDS log=$scratch/log
	shift
	if "$@" >"$log" 2>&1 </dev/null; then
		printf 'ok    %-34s %3d s' "$name" "$((SECONDS - started))"
		# A step that passed may have one line to say, such as what it compared with.
		sed -n 's/^note: /   /p' "$log" | tr -d '\n'
		echo
	else
		printf 'FAIL  %-34s %3d s\n' "$name" "$((SECONDS - started))"
		sed 's/^/      /' "$log" | head -n 200
		failed+=("$name")
	fi
}

# packages reports whether a module has any. A module that cannot be listed has: the
# steps then say what is wrong with it.
packages() {
	local list
	list=$(GOWORK=off go -C "$1" list ./... 2>/dev/null) || return 0
	[ -n "$list" ]
}

# Without -o, a module with a single command would leave it in the tree; the version
# control is not asked, because it does not answer for a checkout of another user.
build() { GOWORK=off go -C "$1" build -buildvcs=false -o /dev/null ./...; }
vet() { GOWORK=off go -C "$1" vet ./...; }
tidy() { GOWORK=off go -C "$1" mod tidy -diff; }
lint() { (cd "$1" && GOWORK=off "$root/.bin/golangci-lint" run --allow-parallel-runners ./...); }
format() { "$root/.bin/golangci-lint" fmt --diff; }

modules=$(tools/modules.sh)
for module in $modules; do
	if ! packages "$module"; then
		echo "--    $module: no packages yet"
		continue
	fi
	step "build $module" build "$module"
	step "vet $module" vet "$module"
	step "tidy $module" tidy "$module"
	step "lint $module" lint "$module"
done
for module in $(tools/modules.sh --pins); do
	step "tidy $module" tidy "$module"
done
step "format of Go files" format
if [ -n "$(find proto -name '*.proto' -print -quit)" ]; then
	step "generated code" tools/generate.sh --check
	step "contract: lint" .bin/buf lint
	step "contract: format" .bin/buf format --diff --exit-code proto
	step "contract: breaking" tools/breaking.sh
fi
step "chart" tools/chart.sh
promtool=.bin/promtool
[ -x "$promtool" ] || promtool=promtool
step "alerts: rules" "$promtool" check rules --lint=all --lint-fatal deploy/monitoring/rules.yaml deploy/monitoring/alerts.yaml
step "alerts: tests" "$promtool" test rules deploy/monitoring/tests/alerts_test.yaml deploy/monitoring/tests/rules_test.yaml

if [ "${#failed[@]}" -gt 0 ]; then
	printf '\nFAIL: %d checks:\n' "${#failed[@]}"
	printf '  %s\n' "${failed[@]}"
	exit 1
fi
printf '\nok: nothing to mend\n'
