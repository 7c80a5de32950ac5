#!/usr/bin/env bash
# Puts drivers through ordeals by chance (services/executor/driver/drivertest, Ordeal): executors
# that are killed, sleep, give up and call twice, and targets that lose answers, do half of what
# they are asked, are slow, or are another one's. What is found says its seed, and comes again
# with SEED and RUNS=1.
#
#   tools/ordeal.sh                  noop, host, command and config, RUNS (500) of each, from SEED on
#   tools/ordeal.sh terraform        those; each has what it needs built where it is not there:
#                                    terraform, kubernetes, helm, gitops
set -euo pipefail
cd "$(dirname "$0")/.."

export SHIPWARDEN_ORDEAL_RUNS=${RUNS:-500} SHIPWARDEN_ORDEAL_SEED=${SEED:-$((1 + RANDOM * 32768 + RANDOM))}
[ $# -gt 0 ] || set -- noop host command config
failed=
for driver in "$@"; do
	tags= beside=$(nproc)
	case $driver in
	terraform)
		tags=terraform
		SHIPWARDEN_TERRAFORM=$(tools/terraform.sh --path)
		export SHIPWARDEN_TERRAFORM
		;;
	kubernetes | helm | gitops)
		tags=kubernetes beside=6 # They wait for controllers most of the time.
		tools/controlplane.sh >/dev/null
		;;
	esac
	echo "== $driver: $SHIPWARDEN_ORDEAL_RUNS from seed $SHIPWARDEN_ORDEAL_SEED"
	GOWORK=off go -C "services/executor/driver/$driver" test -tags "$tags" -count 1 -timeout 0 -parallel "$beside" -run '^TestOrdeal(InARepository)?$' . || failed+=" $driver"
done
[ -z "$failed" ] || { echo "found something:$failed" >&2; exit 1; }
