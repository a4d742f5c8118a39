# Two commands need nothing but Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types unit bench dashboards alerts-table picture clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: $(VENV)/.demo-installed ## run the exporter on a simulated fleet and say where to look
	$(BIN)/axis-ntp-exporter demo

test: lint types unit ## everything CI runs: lint, types, all tests

lint: $(VENV)/.dev-installed ## ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-installed ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.dev-installed ## all tests
	$(BIN)/pytest

bench: $(VENV)/.dev-installed ## measure, and print the tables that the docs show
	$(BIN)/python -m bench

dashboards: $(VENV)/.dev-installed ## make the dashboards' JSON from their code
	$(BIN)/python -m grafana.generate

alerts-table: $(VENV)/.dev-installed ## measure the scenarios of docs/alerting.md anew, into its table
	AXIS_NTP_ALERTING_TABLE=docs/alerting.md $(BIN)/pytest tests/alerting/test_end_to_end.py

picture: $(VENV)/.dev-installed ## photograph the demo for the docs, with chromium, in some minutes
	$(BIN)/python -m tests.web.pages.pictures docs/images

format: $(VENV)/.dev-installed ## let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "axis-ntp-exporter needs Python 3.11 or newer; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The build backend is installed first, from the same pins, as a build of its own would not be.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(VENV)/.demo-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable '.[simulator]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt $(VENV)/.demo-installed
	$(INSTALL) --no-build-isolation --editable '.[simulator,dev]'
	@touch $@
