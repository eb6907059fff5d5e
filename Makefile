# Two commands do all the set-up on a machine with only python3 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

# Compiled once for all the processes of the tests, whatever the environment says of it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo wheel test proofs deployment mutants lint types generate site ui clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --only-binary :all: --no-binary cbi-dagster --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/cbi demo $(DEMO_ARGS)

# What is installed from the wheel, alone in an environment and away from the checkout, works as the checkout does.
WHEEL := $(abspath build/wheel)
ALONE := cd $(WHEEL) && env -u PYTHONPATH
wheel:
	rm -rf $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -I -m pip wheel --quiet --no-deps --wheel-dir $(WHEEL) .
	$(WHEEL)/venv/bin/python -I -m pip install --quiet --only-binary :all: --constraint constraints.txt $(WHEEL)/*.whl
	$(ALONE) CBI_HOME=home venv/bin/cbi demo --from 2023-06-01 --to 2023-08-31
	$(ALONE) CBI_HOME=home/demo venv/bin/cbi sql "SELECT * FROM api.vw_zl_dashboard_current"

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope -m 'not slow' $(PYTEST_ARGS)

# More at once than a small machine has processors: what waits for processes of its own begins first and leaves them idle.
proofs: setup
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder -m slow $(PYTEST_ARGS)

# A part of the proofs: what deploy/ starts, on a real PostgreSQL, while things are killed; skipped where none is installed.
deployment: setup
	$(BIN)/python -m pytest -m 'slow or not slow' cbi_dagster_tests/deployment $(PYTEST_ARGS)

MUTANTS ?= 200
SEED ?= 1
# yattag comes as pure source only; all else as wheels.
mutants: setup
	$(BIN)/python -m pip install --quiet --only-binary :all: --no-binary cbi-dagster,yattag --constraint constraints.txt --editable '.[dev,mutation]'
	$(BIN)/python mutation/mutants.py --mutants $(MUTANTS) --seed $(SEED)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

generate: setup
	$(BIN)/python -m cbi_dagster.vendors.calendar_library
	$(BIN)/python -m cbi_dagster.catalog.documents

site: setup
	$(BIN)/zensical build --strict

ui: setup
	$(BIN)/cbi ui

clean:
	rm -rf $(VENV) site .cache .cbi .mypy_cache .ruff_cache .pytest_cache
