# Each target does everything on a machine that has only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
TEST = $(BIN)/python -m pytest -n auto --dist worksteal
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

# the tests that use dependencies other than PyTorch
MINIMUMS = $(addprefix tests/,actions export geometry inference keypoints postprocessing utils \
	video visualization models/test_text_encoder.py training/test_finetune.py test_result.py)

.PHONY: demo test test-portability test-minimums lint format weights clean

demo: .venv/.demo  ## lift a real clip; files appear in demo/
	$(BIN)/actionpose demo --out-dir demo

test: .venv/.dev  ## the whole test suite
	$(TEST)

test-portability: .venv/.dev  ## the whole test suite as on other machines, see CONTRIBUTING.md
	CXX=/nonexistent LC_ALL=C taskset -c 0 $(TEST)
	CXXFLAGS=-march=x86-64 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 HOME=/dev/null $(TEST)

test-minimums: .venv/.dev  ## tests with the least versions of dependencies that are allowed
	$(BIN)/python -m venv --clear --without-pip .venv-minimums
	cd .venv-minimums/lib/python3*/site-packages && ../../../../$(BIN)/python -c \
		'import site; print(*site.getsitepackages())' > later.pth  # PyTorch, pytest and pip
	$(BIN)/python tools/minimum_versions.py > .venv-minimums/minimums.txt
	.venv-minimums/bin/python -m pip install --disable-pip-version-check --quiet \
		--constraint .venv-minimums/minimums.txt --requirement .venv-minimums/minimums.txt
	.venv-minimums/bin/python -m pytest -n auto -W ignore::DeprecationWarning $(MINIMUMS)

lint: .venv/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

weights: .venv/.train  ## train a model like the default one, or resume; needs the corpora of docs/datasets.md
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
	rm -rf .venv .venv-minimums demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
