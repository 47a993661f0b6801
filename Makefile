# `make help` lists the targets. Each one sets up what it needs; doing it again changes nothing.
.DEFAULT_GOAL := help
UV := ci/uv
PYTHON := .venv/bin/python
LOCAL := env PYTHONPATH=ci $(PYTHON) -m local
# Debian packages that only the tests and benchmarks need; each holds the program of its name.
TEST_PROGRAMS := chromium
BENCH_PROGRAMS := wrk
export BROKER_URL REDIS_URL

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

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
test: lint test-setup ## everything: lint, types, unit and integration tests
	$(PYTHON) -m pytest $(PYTEST)

.PHONY: unit
unit: setup ## unit tests alone: seconds, no servers
	$(PYTHON) -m pytest tests/unit $(PYTEST)

.PHONY: integration
integration: test-setup ## tests against a real RabbitMQ and Redis
	$(PYTHON) -m pytest tests/integration $(PYTEST)

.PHONY: test-setup
test-setup: setup
	@$(LOCAL).install $(TEST_PROGRAMS)

.PHONY: lint
lint: setup ## ruff and mypy
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

.PHONY: fmt
fmt: setup ## format, and mend what ruff can
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

.PHONY: bench
bench: setup ## a benchmark: make bench NAME=submit
	@$(LOCAL).install $(BENCH_PROGRAMS)
	@$(PYTHON) ci/bench $(NAME)

.PHONY: clean
clean: ## remove what was made here, the data of `make up` included
	rm -rf .venv .stalk .mypy_cache .ruff_cache .pytest_cache .hypothesis dist reports
