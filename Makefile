# Everything a person or CI runs. The recipes are short on purpose: what needs
# more than a line is a script in tools/, which can be read and run by itself.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# As images are built. With cgo, whatever imports `plugin` is linked by the C compiler with
# nothing left out, and a test of the executor is three times its size.
export CGO_ENABLED ?= 0

# Arguments for `go test` and `go run`: make test ARGS='-run TestScenarios -v'.
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Find or install all that is needed: Go, PostgreSQL, OpenSSH, Alertmanager, Prometheus, the pinned tools, promtool
	@tools/setup.sh go postgresql openssh alertmanager prometheus generators linter helm promtool

.PHONY: setup-test
setup-test:
	@tools/setup.sh go postgresql openssh alertmanager prometheus

.PHONY: setup-tools
setup-tools:
	@tools/setup.sh go generators linter helm promtool

.PHONY: generate
generate: ## Generate the Go code of proto/
	@tools/setup.sh go generators
	@tools/generate.sh

.PHONY: contract
contract: ## Accept what was added to the contract; what was broken is refused
	@tools/setup.sh go generators
	@tools/breaking.sh --accept

.PHONY: build
build: ## Build the command and the services into bin/
	@tools/build.sh

.PHONY: check
check: setup-tools ## All that can be said without running tests: build, vet, lint, formats, generated code, contract, chart, alerts
	@tools/check.sh

.PHONY: test
test: setup-test ## Test every module
	@tools/test.sh $(ARGS)

.PHONY: test-slow
test-slow: setup-test ## Test in short forms what is slow: Kubernetes and Terraform, which are built first, once, chaos, bench
	@tools/test-slow.sh $(ARGS)

.PHONY: test-race
test-race: setup-test ## Test every module with the race detector
	@tools/test.sh -race $(ARGS)

.PHONY: e2e-processes
e2e-processes: setup-test ## Tell every end-to-end story against services that are processes of their own
	@go test ./e2e -processes -run '$(or $(RUN),Shop|Services|Releases|WaysOut|Consent|Bundle|Plain)' -v $(ARGS)

.PHONY: e2e-kubernetes
e2e-kubernetes: ## Test against a real control plane of Kubernetes, which is built first, once: 20 minutes of one core
	@tools/setup.sh go
	@tools/kubernetes.sh $(ARGS)

.PHONY: e2e-terraform
e2e-terraform: setup-test ## Test with the pinned OpenTofu, which is built first, once: 7 minutes of one core
	@tools/terraform.sh --pinned $(ARGS)

.PHONY: clients
clients: setup-test ## Show that plain clients of NATS, gRPC and Prometheus work
	@tools/setup.sh promtool clients
	@go test -tags clients ./e2e -run TestPlainClients -v

.PHONY: fuzz
fuzz: setup-test ## Feed everything that reads foreign bytes with what it does not expect: FUZZTIME=1m each
	@tools/fuzz.sh $(ARGS)

.PHONY: mutants
mutants: ## Make mistakes in the procedure, or FOLDER=internal/consent, one at a time: the tests must find each
	@tools/setup.sh go
	@GOWORK=off go -C tools/mutants build -o ../../.bin/mutants .
	@.bin/mutants $(ARGS) $(or $(FOLDER),procedure)

.PHONY: ordeal
ordeal: setup-test ## Put drivers through RUNS=500 ordeals each, from SEED on: ARGS='noop host command config'
	@tools/ordeal.sh $(ARGS)

.PHONY: bench
bench: setup-test ## Measure releases, recording and rest beside what bounds them: docs/performance.md
	@go build -o bin/bench ./e2e/bench/cmd/bench
	@bin/bench $(ARGS)

.PHONY: demo
demo: setup-test ## Carry real releases through the procedure, before your eyes
	@go build -o bin/shipwarden ./cmd/shipwarden
	@bin/shipwarden demo $(ARGS)

.PHONY: chaos
chaos: setup-test ## Kill everything while releases go through, and judge what became of them
	@go run ./e2e/chaos/cmd $(ARGS)

.PHONY: chaos-bugs
chaos-bugs: setup-test ## Build known bugs into the services, and see that chaos catches each
	@go run ./e2e/chaos/cmd -bugs $(ARGS)

.PHONY: fmt
fmt: setup-tools ## Format Go and .proto files
	@tools/third_party.sh
	@.bin/buf format --write proto
	@.bin/golangci-lint fmt

.PHONY: tidy
tidy: ## Tidy every go.mod, with the same versions in all of them
	@go work sync
	@{ tools/modules.sh; tools/modules.sh --pins; } | while read -r module; do GOWORK=off go -C "$$module" mod tidy; done

.PHONY: clean
clean: ## Remove what was built and the state of local runs; the tools in .bin stay
	@rm -rf bin third_party .shipwarden
