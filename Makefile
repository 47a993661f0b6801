# `make help` lists the targets. Each one sets up what it needs; doing it again changes nothing.
.DEFAULT_GOAL := help
UV := ci/uv
PYTHON := .venv/bin/python
# Tests wait more than they work: one process more than there are cores.
PROCESSES = $(shell expr $$(nproc) + 1)
PARALLEL = -n $(PROCESSES)
# More than one wants a cluster with room for as many releases.
E2E_PROCESSES = 1
E2E_PARALLEL = $(if $(filter-out 1,$(E2E_PROCESSES)),-n $(E2E_PROCESSES))
LOCAL := env PYTHONPATH=ci $(PYTHON) -m local
# Debian packages that only the tests and benchmarks need; each holds the program of its name.
TEST_PROGRAMS := chromium prometheus
SCRIPTS = $(shell git ls-files ci .ci | xargs grep -lE '^\#!/(usr/bin/env bash|bin/sh)|shellcheck shell=')
BENCH_PROGRAMS := wrk

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: setup
setup: ## the Python environment in .venv
	@$(UV) sync --quiet --locked --all-extras

.PHONY: services
services: setup ## RabbitMQ and Redis, installed where they are missing (as root)
	@$(LOCAL).install

.PHONY: up
up: setup ## the whole service on this machine, until Ctrl-C
	@exec $(LOCAL).up

.PHONY: down
down: setup ## end what a crashed `make up` left
	@$(LOCAL).down

.PHONY: test
test: lint scan test-setup ## all that needs no cluster: lint, types, unit, chart and integration tests
	$(PYTHON) -m pytest $(PARALLEL) $(PYTEST)

.PHONY: unit
unit: setup ## unit tests alone: seconds, no servers
	$(PYTHON) -m pytest tests/unit $(PYTEST)

.PHONY: chart-test
chart-test: setup ## tests of the chart, rendered in process
	$(PYTHON) -m pytest tests/chart $(PYTEST)

.PHONY: integration
integration: test-setup ## tests against a real RabbitMQ and Redis
	$(PYTHON) -m pytest tests/integration $(PYTEST)

.PHONY: test-setup
test-setup: setup
	@$(LOCAL).install $(TEST_PROGRAMS)

.PHONY: lint
lint: setup ## ruff, mypy, shellcheck, the workflows, and whether versions agree and generated files are fresh
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) ci/chart check
	$(PYTHON) ci/troubleshooting check
	$(PYTHON) ci/release check
	.venv/bin/shellcheck --external-sources $(or $(SCRIPTS),$(error git lists no scripts: is this a checkout that git may read?))
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	.venv/bin/zizmor --offline --quiet .github/workflows

.PHONY: docs
docs: setup ## the documentation's site, into dist/site; a link that leads nowhere fails
	@$(PYTHON) ci/website

.PHONY: scan
scan: setup ## what a security scanner finds in the chart and the image, unless ci/scan explains it
	$(PYTHON) ci/scan

.PHONY: fmt
fmt: setup ## format, and mend what ruff can
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

.PHONY: test-e2e
test-e2e: setup ## the chart on the cluster that KUBECONFIG names, and a few chaos scenarios
	$(PYTHON) -m pytest tests/e2e -m "not chaos or short" $(E2E_PARALLEL) $(PYTEST)

.PHONY: test-chaos
test-chaos: setup ## every chaos scenario on that cluster; the table goes into reports/chaos.md
	$(PYTHON) -m pytest tests/e2e/chaos $(PYTEST)

.PHONY: image
image: setup ## docker build of the image that the chart runs
	@ci/deploy/image

.PHONY: image-name
image-name: setup ## that image's name
	@ci/deploy/image --name

.PHONY: deploy-kind
deploy-kind: setup ## Stalk in a kind cluster with KEDA: make deploy-kind HELM="--set api.replicas=2"
	@ci/kind/up $(HELM)

.PHONY: check-kind
check-kind: setup ## does it work there? the steps of docs/quickstart.md, in five minutes
	@ci/kind/check

.PHONY: undeploy-kind
undeploy-kind: ## remove that cluster
	@ci/kind/down

.PHONY: test-kind
test-kind: setup ## those tests in a kind cluster on this machine
	@ci/kind/test

.PHONY: package
package: setup ## chart archive, wheel, sdist, SBOMs and their sums into dist/, the same bytes for the same commit
	@$(PYTHON) ci/release package

.PHONY: screenshots
screenshots: setup ## page, Flower and Grafana dashboard at work, into dist/screenshots/
	@$(LOCAL).install $(TEST_PROGRAMS)
	@$(PYTHON) ci/screenshots

.PHONY: release-check
release-check: setup ## may this tag be released? GITHUB_REF_NAME=v1.2.3 make release-check
	@git merge-base --is-ancestor HEAD origin/main || { echo "this commit is not on main" >&2; exit 1; }
	@$(PYTHON) ci/release check "$$GITHUB_REF_NAME"

.PHONY: publish-image
publish-image: setup
	@ci/publish/login
	@ci/publish/image

.PHONY: publish-chart
publish-chart: setup
	@ci/publish/login
	@ci/publish/chart

.PHONY: publish-release
publish-release: setup
	@ci/publish/release "$$GITHUB_REF_NAME"

.PHONY: bench
bench: setup ## a benchmark: make bench NAME=submit
	@$(LOCAL).install $(BENCH_PROGRAMS)
	@$(PYTHON) ci/bench $(NAME)

.PHONY: clean
clean: ## remove what was made here, the data of `make up` included
	rm -rf .venv .stalk .mypy_cache .ruff_cache .pytest_cache .hypothesis dist reports
