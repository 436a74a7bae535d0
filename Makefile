# Everything a developer runs. Each target installs what it needs into .venv and build/.

# The first Python of 3.11 or newer. To use another one: make PYTHON=/path/to/python test
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$candidate"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for servers and timers, so run more of them than there are cores.
TESTS_AT_ONCE ?= 3
PIP_OPTIONS := -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo observe test check fmt docs screenshots

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run the demo: jobs catalogue a Python installation, a worker is killed, totals are checked
	@$(BIN)/python -m examples.catalogue.run

observe: $(VENV)/.observe ## run workers under load with exporter, Prometheus and collector, until Ctrl-C
	@$(BIN)/python -m examples.observe.run

test: check ## run all checks and tests, then the quick tests on other Pythons
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadgroup -m "not chaos" --cov --cov-report=term
	@sh scripts/test_other_pythons.sh "$(BIN)/python"

check: $(VENV)/.dev ## check style, format, types and import rules; runs no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p examples -p dashboards
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## format the code and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## generate the list of metrics, the dashboards and the rules
	$(BIN)/python scripts/write_docs.py
	$(BIN)/python -m dashboards.generate

screenshots: $(VENV)/.dev ## make the pictures of spinach-top in docs/; takes three minutes
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
