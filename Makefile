# Two commands that need only Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
# Another Python gets an environment of its own: make test PYTHON=python3.13
ifeq ($(origin PYTHON),command line)
VENV   ?= .venv-$(notdir $(PYTHON))
else
VENV   ?= .venv
endif
BIN    := $(VENV)/bin
# The port of `make demo`. Not taken from the environment, where PORT often means something else.
PORT    = 10123
# How long `make soak` runs.
SOAK_MINUTES ?= 20
# How long `make fuzz` tries each target, and the only one to try.
SECONDS = 60
TARGET  =
# What `make test-lowest` and `make test-newest` test: what depends on other packages. Not the pages: Chromium is slow.
RANGE_TESTS = tests/vapix tests/daemon tests/web tests/config tests/check tests/discovery --ignore=tests/web/pages

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types unit test-lowest test-newest fuzz bench soak image-test kubernetes-test \
        unit-test deb deb-test sbom dashboards docs alerts-table picture clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: $(VENV)/.demo-installed ## run the exporter on simulated devices; other port: make demo PORT=10124
	$(BIN)/axis-ntp-exporter demo --web.listen-address=127.0.0.1:$(PORT)

test: lint types unit ## run lint, types and all tests that need no root; CI runs the *-test targets too

lint: $(VENV)/.dev-installed ## check rules and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-installed ## check types with mypy, strict
	$(BIN)/mypy

# Some container images tell Python to keep no bytecode. Then each of the many processes that tests
# start compiles the whole package again: 0.1 to 0.2 s of CPU time.
unit: export PYTHONDONTWRITEBYTECODE =
unit: $(VENV)/.dev-installed ## run all tests
	$(BIN)/pytest

test-lowest: $(VENV)/.dev-installed ## test with the oldest versions that pyproject.toml allows
	$(call test_with,lowest-direct,$(VENV)-lowest)

test-newest: $(VENV)/.dev-installed ## test with the newest versions of everything, without constraints.txt
	$(call test_with,highest,$(VENV)-newest)

# uv takes the index from UV_DEFAULT_INDEX, not from pip's settings; trust the same CAs as other programs do.
export UV_SYSTEM_CERTS ?= 1
# In an environment of its own.
define test_with
$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(2)
$(BIN)/uv pip install --quiet --python $(2) --resolution $(1) --only-binary :all: --no-binary axis-ntp-exporter --editable '.[simulator,dev]'
PYTHONDONTWRITEBYTECODE= $(2)/bin/python -m pytest $(RANGE_TESTS)
endef

fuzz: $(VENV)/.fuzz-installed ## try new inputs, guided by coverage; make fuzz SECONDS=600 TARGET=config
	$(BIN)/python -m tests.fuzz --seconds=$(SECONDS) $(if $(TARGET),--target=$(TARGET))

unit-test: $(VENV)/.dev-installed ## run the systemd unit in containers of Debian 12 and 13, as root
	$(BIN)/pytest -n0 --timeout=900 tests/artifacts/unit

deb: $(VENV)/.dev-installed ## build a package for this release of Debian into dist/
	rm -f dist/*.deb
	$(BIN)/python deploy/debian/build.py

deb-test: $(VENV)/.dev-installed ## build, install, upgrade and remove the package in a container of Debian 12, as root
	$(BIN)/pytest -n0 --timeout=900 tests/artifacts/package

bench: $(VENV)/.dev-installed ## measure performance and print the tables of docs/performance.md
	$(BIN)/python -m bench

soak: $(VENV)/.dev-installed ## run among hostile devices and changing files; other time: make soak SOAK_MINUTES=60
	SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m tests.hostile.soak

image-test: $(VENV)/.sbom-installed ## build the image and run it with podman, as root
	$(BIN)/pytest -n0 tests/artifacts/image

sbom: $(VENV)/.sbom-installed deb ## build image and Debian package, list their contents in dist/*.cdx.json, as root
	$(BIN)/python -m tests.artifacts.image.sbom dist/image.cdx.json
	$(BIN)/python -m tests.artifacts.package.sbom dist/*.deb dist/deb.cdx.json

dashboards: $(VENV)/.dev-installed ## generate the dashboards, and the rules and dashboards for Kubernetes
	$(BIN)/python -m grafana.generate

docs: $(VENV)/.dev-installed ## update the tables in README.md and docs/ that come from the code
	$(BIN)/python -m tests.docs.tables

alerts-table: $(VENV)/.dev-installed ## measure the alert scenarios again and update docs/alerting.md
	AXIS_NTP_ALERTING_TABLE=docs/alerting.md $(BIN)/pytest tests/alerting/test_end_to_end.py

kubernetes-test: $(VENV)/.dev-installed ## render the manifests with two kubectls and run the pods with podman, as root
	$(BIN)/pytest -n0 tests/artifacts/kubernetes

picture: $(VENV)/.dev-installed ## take the screenshots of the docs with Chromium (some minutes)
	$(BIN)/python -m tests.web.pages.pictures docs/images

format: $(VENV)/.dev-installed ## fix and format the code with ruff
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove everything the other targets created
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# A failed `venv` leaves an interpreter without pip: it must not satisfy the next run.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found; make PYTHON=python3.12 names another" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "axis-ntp-exporter needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu that needs the package python3-venv" >&2; exit 1; }

# Install the build backend first, so that it has the pinned version too.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(VENV)/.demo-installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable '.[simulator]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt $(VENV)/.demo-installed
	$(INSTALL) --no-build-isolation --editable '.[simulator,dev]'
	@touch $@

$(VENV)/.sbom-installed: $(VENV)/.dev-installed
	$(INSTALL) --no-build-isolation --editable '.[sbom]'
	@touch $@

# Without atheris, which has no package for every platform, fuzzing is not guided by coverage.
$(VENV)/.fuzz-installed: $(VENV)/.dev-installed
	$(INSTALL) --no-build-isolation --editable '.[fuzz]' || echo "atheris cannot be installed here"
	@touch $@
