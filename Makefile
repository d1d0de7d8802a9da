# Baton. `make` alone explains the commands.
PYTHON ?= python3
BROKER ?= redis
TIMES ?= 1
MINUTES ?= 30
PY := .venv/bin/python
# mypy's Django plugin reads the settings; nothing is connected to
MYPY_ENV = DATABASE_URL=postgresql:///x CELERY_BROKER_URL=memory:// SECRET_KEY=x
SETUP = $(PYTHON) -I orchestrator/local/install.py
.DEFAULT_GOAL := help
.PHONY: help setup run test test-quick faults soak check models bench-engine

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## Make .venv and install what a run needs
	@$(SETUP) run

run: setup ## Start Baton on http://127.0.0.1:8002 (PORT=, DATA_DIR=, WORKERS=); Ctrl-C stops it
	@exec $(PY) -m orchestrator.local --follow-parent

test: setup-dev ## All tests but those marked thorough (ARGS= for a part, ARGS="-m thorough" for them)
ifdef ARGS
	@exec $(PY) -m pytest $(ARGS)
else
	@$(PY) -m pytest -n 2 --dist loadfile -m "not faults and not browser and not thorough"
	@exec $(PY) -m pytest -n 2 --dist loadfile -m "(faults or browser) and not thorough"
endif

test-quick: setup-dev ## The tests for every day: no browser, no killed processes
	@exec $(PY) -m pytest -n 2 --dist loadfile -m "not faults and not browser and not slow and not gpu" $(ARGS)

faults: setup-dev ## Kill everything in turn, TIMES=1 times over on BROKER=redis (or rabbitmq)
	@exec $(PY) -m tests.faults.tally --times $(TIMES) --broker $(BROKER) $(ARGS)

soak: setup-dev ## Steady work and a fault every 30 s for MINUTES=30; nothing may be lost, nothing may grow
	@exec $(PY) -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

check: setup-dev ## Lint, types and the quick tests
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(MYPY_ENV) $(PY) -m mypy
	@$(MAKE) --no-print-directory test-quick

models: setup ## Build the shipped models again (minutes)
	@exec $(PY) -m gpu_worker.demo_models

bench-engine: setup-dev ## Language models beside transformers' own ways (minutes; ARGS= as in benchmarks/engine)
	@exec $(PY) -m benchmarks.engine $(ARGS)

.PHONY: setup-dev
setup-dev:
	@$(SETUP) dev
