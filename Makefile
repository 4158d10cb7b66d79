# Offhook. `make` alone lists what it can do.
# Needs: Linux x86-64, Python 3.11–3.13 with venv, git, make. Everything else is fetched or built.

SHELL := /bin/sh
VENV := .venv
# Where it is set, each process compiles all that it imports: a start takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
PY := $(VENV)/bin/python
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' \
	2>/dev/null && { echo $$p; break; }; done)
# Installs what a lock lists and resolves nothing; livekit-server meanwhile, where it will be needed.
NEED_NO_LIVEKIT = check format lock test-fast simulate down
SET_UP = $(PY) -m offhook.dependencies
LIVEKIT = $(if $(filter $(NEED_NO_LIVEKIT),$(MAKECMDGOALS)),,--livekit)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/offhook
PIPECAT = $(CACHE)/pipecat-$(shell cksum < requirements/pipecat.txt | cut -d' ' -f1)
PYTEST_ARGS ?=
RUNS ?= 10000
SEED ?= 0
WORKERS ?= 2
MUTANT ?=

.PHONY: help up first-call test test-fast test-long simulate check format bench lock down clean venv-run venv-dev livekit widget clients

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

up: venv-run  ## Start everything here, place a first phone call, stay up
	@$(PY) -m offhook up $(UP_ARGS)

first-call: venv-run  ## Start, place the first call, judge it, stop
	@$(PY) -m offhook up --once

test: venv-dev livekit widget clients  ## Run the whole suite: forty to fifty minutes on two cores
	@$(PY) -m tests.suite $(PYTEST_ARGS)

test-fast: venv-dev  ## Rules, formats, architecture: what needs no process and no database
	@$(PY) -m pytest -m unit $(PYTEST_ARGS)

simulate: venv-dev  ## Simulate the order book: make simulate RUNS=1000000 [SEED=0] [MUTANT=no_fence]
	@$(PY) -m tests.simulator --runs $(RUNS) --seed $(SEED) --workers $(WORKERS) $(if $(MUTANT),--mutant $(MUTANT))

test-long: venv-dev livekit  ## What takes long: make test-long KILLS=200 ORDERS=2000 RUNS=10000
	@OFFHOOK_TEST_KILLS=$(or $(KILLS),200) OFFHOOK_TEST_ORDERS=$(or $(ORDERS),2000) \
	OFFHOOK_TEST_SCHEDULES=$(RUNS) $(PY) -m tests.suite --long

check: venv-dev  ## Lint, types, import contracts, format
	@echo "== ruff";          $(VENV)/bin/ruff check .
	@echo "== ruff format";   $(VENV)/bin/ruff format --check .
	@echo "== mypy";          $(VENV)/bin/mypy
	@echo "== import-linter"; $(VENV)/bin/lint-imports --no-logo 2>/dev/null || $(VENV)/bin/lint-imports

format: venv-dev  ## Format the code
	@$(VENV)/bin/ruff check --fix -q . ; $(VENV)/bin/ruff format .

bench: venv-dev livekit  ## Measure: make bench ONLY=gateway
	@$(SET_UP) bench  # the peers
	@$(if $(filter-out turns,$(ONLY)),,$(MAKE) --no-print-directory $(PIPECAT)/.installed)
	@OFFHOOK_BENCH_PIPECAT=$(PIPECAT) $(PY) -m bench $(ONLY)

# The peer whose pins and ours exclude each other has a virtual environment of its own.
$(CACHE)/pipecat-%/.installed: | $(PY)
	@echo "Installing pipecat beside, in $(@D) (about 470 MB, once)"
	@rm -rf $(@D); mkdir -p $(@D); $(PY) -m venv $(@D)
	@$(SET_UP) pipecat --venv $(@D)
	@touch $@

lock: $(PY)  ## Make the lock files anew: make lock [UPGRADE="google-auth httpx" or UPGRADE=all]
	@$(SET_UP) uv
	@$(PY) -m tools.lock $(UPGRADE)

down: venv-run  ## Stop what `make up` started
	@$(PY) -m offhook down

clean:  ## Remove what was built here; never the data folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

livekit: venv-dev
	@$(PY) -m offhook livekit build

# Without it a part of the suite fails, and says so: no reason to run nothing.
widget: venv-dev
	-@$(PY) -m offhook widget build --checks

clients: venv-dev
	-@$(PY) -m tests.clients.generator

venv-run: $(VENV)/.run-$(shell cksum < requirements/run.txt | cut -d' ' -f1)
venv-dev: $(VENV)/.dev-$(shell cksum < requirements/dev.txt | cut -d' ' -f1)

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none is on PATH: install python3.11"; exit 1; }
	@echo "Creating the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The venv module is missing: apt-get install python3-venv"; exit 1; }

$(VENV)/.run-%: $(PY)
	@echo "Setting up Offhook, once: dependencies (about 600 MB) and livekit-server"
	@$(SET_UP) run $(LIVEKIT)
	@rm -f $(VENV)/.run-*; touch $@

$(VENV)/.dev-%: $(PY)
	@echo "Setting up Offhook and its test tools, once"
	@$(SET_UP) dev $(LIVEKIT)
	@rm -f $(VENV)/.dev-*; touch $@ $(VENV)/.run-$(shell cksum < requirements/run.txt | cut -d' ' -f1)
