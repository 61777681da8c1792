# Each target does everything on a machine that has only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
TEST = $(BIN)/python -m pytest -n auto --dist worksteal
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test test-portability lint format weights clean

demo: .venv/.demo  ## lift a real clip; files appear in demo/
	$(BIN)/actionpose demo --out-dir demo

test: .venv/.dev  ## the whole test suite
	$(TEST)

test-portability: .venv/.dev  ## the whole test suite as on other machines, see CONTRIBUTING.md
	CXX=/nonexistent LC_ALL=C taskset -c 0 $(TEST)
	CXXFLAGS=-march=x86-64 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 HOME=/dev/null $(TEST)

lint: .venv/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

weights: .venv/.train  ## train the default model, or resume; needs the corpora of docs/datasets.md
	$(BIN)/actionpose train recipes/tiny.yaml --run runs/tiny

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "actionpose needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[viz]'
	@touch $@

.venv/.train: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[train,minilm]'
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/.demo

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
