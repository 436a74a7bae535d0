# Everything a developer runs. Each target sets up what it needs, in .venv and build/.

# The first Python that is new enough; another one: make PYTHON=/path/to/python test
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$candidate"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for servers and timers: more at once than there are cores.
TESTS_AT_ONCE ?= 3
PIP_OPTIONS := -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo observe test check fmt docs screenshots

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## catalogue a Python installation with jobs, kill a worker half way, check the totals
	@$(BIN)/python -m examples.catalogue.run

observe: $(VENV)/.observe ## a fleet under load, exporter, Prometheus and collector where installed, until Ctrl-C
	@$(BIN)/python -m examples.observe.run

test: check ## all checks, all tests with coverage, then the quick tests on the other Pythons found
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadgroup -m "not chaos" --cov --cov-report=term
	@sh scripts/test_other_pythons.sh "$(BIN)/python"

check: $(VENV)/.dev ## lint, format, types, import rules; no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p examples -p dashboards
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## write the generated parts of the documentation anew
	$(BIN)/python scripts/write_docs.py
	$(BIN)/python -m dashboards.generate

screenshots: $(VENV)/.dev ## make the pictures of spinach-top in docs/ from a namespace under load, in minutes
	$(BIN)/python scripts/screenshots.py

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "Installing into $(VENV)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[demo]'
	@touch $@

$(VENV)/.observe: pyproject.toml | $(VENV)/.made
	@echo "Installing into $(VENV)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[observe]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "Installing into $(VENV)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[dev]'
	@touch $@

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; name one: make PYTHON=/path/to/python ..."; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
