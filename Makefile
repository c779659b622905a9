# Every target sets up .venv by itself; all it takes is make and Python 3.11 to 3.14 with venv.
PYTHON ?= python3
UV_VERSION := 0.13.9

VENV := .venv
PEER := .venv-peer
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(BIN)/uv --quiet pip
# A file of tests stays in one process, which makes what its tests share once.
TWO_AT_A_TIME := $(BIN)/pytest -n 2 --dist loadfile

export DAGSTER_DISABLE_TELEMETRY := true
export UV_LINK_MODE ?= copy

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test lint types office browser service outside soak mutants bench bless ui lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## set up .venv as requirements.lock says (every other target does this by itself)

# The stamp is written last, and by a successful run only: an interrupted setup is done again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || { \
	  echo "Rollforward needs Python 3.11 to 3.14, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Name one that fits: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV)" >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	@$(UV) sync --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	@$(UV) install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q pipelines assets schemas
	@$(BIN)/python -m pipelines.kernel
	@touch $@

demo: $(READY) ## write the sample, build its June workbooks, and show what was set aside
	@rm -rf demo
	@$(BIN)/rollforward --home demo sample
	@$(BIN)/rollforward --home demo report --month 2026-06
	@$(BIN)/rollforward --home demo rejects

test: lint types ## lint, types, and every test that needs nothing but Python
	$(TWO_AT_A_TIME) -m "not office and not browser and not slow and not service"

lint: $(READY) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

# pytest ends with 5 where a marker selects no test, which make takes as the failure it is.
office: $(READY) ## the tests that need LibreOffice
	$(BIN)/pytest -m office

browser: $(READY) ## the tests that need Chromium
	$(BIN)/pytest -m browser

service: $(READY) ## the tests of docs/faults.md and docs/operating.md; as root, who may mount the disks that fill up
	$(TWO_AT_A_TIME) -m service

outside: $(READY) ## office and browser, two at a time, and of service what CI has time for
	$(TWO_AT_A_TIME) -m "(office or browser) and not slow"
	$(TWO_AT_A_TIME) -m "service and not slow" -k "asked_to_stop or killed_is_marked or that_is_gone"

soak: $(READY) mutants ## the tests that take minutes, the mutants, and an hour of fuzzing the readers (FUZZ_SECONDS)
	$(BIN)/pytest -m slow
	EVERY_TABLE=1 $(BIN)/pytest -m "not slow" tests/test_reports.py tests/test_audits.py tests/test_anomalies.py
	EXAMPLES=1000 $(BIN)/pytest -m "not slow" tests/test_replay_against_oracle.py
	$(BIN)/python -m tests.fuzz

mutants: $(READY) ## change the kernel in every small way: a test must fail for each
	$(BIN)/python -m tests.mutants

bench: $(READY) $(PEER)/.ready ## how fast, against others, in the same run
	$(BIN)/python -m tests.benchmarks

$(PEER)/.ready: $(READY) requirements-peer.lock
	@$(PYTHON) -m venv --clear $(PEER)
	@$(UV) sync --python $(PEER)/bin/python --require-hashes requirements-peer.lock
	@touch $@

bless: $(READY) ## take what the golden tests make now as what they should make; then read the diff
	$(BIN)/pytest --bless

ui: $(READY) ## Dagster's pages on ./data (or ROLLFORWARD_HOME)
	$(BIN)/rollforward ui

# Versions stay as they are where pyproject.toml allows; UPGRADE=1 takes the newest.
LOCK := $(UV) compile --no-config --universal --generate-hashes --no-strip-extras --python-version 3.11 \
	  $(if $(UPGRADE),--upgrade) --custom-compile-command "make lock"
lock: $(BIN)/uv ## renew requirements.lock and requirements-peer.lock (UPGRADE=1: with the newest versions)
	$(LOCK) --extra dev pyproject.toml --output-file requirements.lock >/dev/null
	sed -n '/^peer = \[/,/^]/s/^ *"\([^"]*\)".*/\1/p' pyproject.toml | $(LOCK) - --output-file requirements-peer.lock >/dev/null
	@! grep -nE '^ *-|://|^[^#]* @ ' requirements.lock requirements-peer.lock | grep -vE '^[^:]+:[0-9]+: +--hash=sha256:[0-9a-f]{64}( \\)?$$' \
	  || { echo "the lock names an address: see above" >&2; exit 1; }

$(BIN)/uv:
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)

clean: ## remove .venv, the demo, and what the tools left behind
	rm -rf $(VENV) $(PEER) demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
