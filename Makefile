# make demo and make test work alone: each builds .venv from requirements.lock first, once.
# PYTHON=... names the interpreter to build it with; ARGS=... is handed on, e.g. make test ARGS="-k tables".

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
INSTALLED := $(VENV)/.installed
PYTHON ?=
ARGS ?=

.PHONY: help install demo test lint types format benchmark gpu docs lock ci

help:
	@echo "make demo       train on digits with 40 % wrong labels and write runs/demo/report.html"
	@echo "make test       all tests"
	@echo "make lint       ruff: rules and format        make format   apply what ruff can mend"
	@echo "make types      mypy, strict                  make docs     the documentation, into site/"
	@echo "make benchmark  speed and memory              make lock     resolve the versions anew"
	@echo "make gpu OUT=DIR  GPU tests, benchmarks, runs  (on a borrowed machine, resumable)"
	@echo "make ci         what a change must pass: lint, types, tests"

demo: $(INSTALLED)
	@$(BIN)/noisylearn demo $(ARGS)

# One single-threaded process per core: threads inside each would only contend.
test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --diff .

format: $(INSTALLED)
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

types: $(INSTALLED)
	@$(BIN)/mypy --no-error-summary $(ARGS)

# Every script of benchmarks/ that is not a helper (_*.py) prints its own ratios.
benchmark: $(INSTALLED)
	@for script in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/[!_]*.py)); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

# On a borrowed machine: its own Python and torch, straight from the checkout. OUT=DIR is where results and logs go.
gpu:
	@test -n "$(OUT)" || { echo "name a folder for the results: make gpu OUT=DIR" >&2; exit 1; }
	@PYTHONPATH=. $(or $(PYTHON),python3) benchmarks/gpu.py --out "$(OUT)" $(ARGS)

# The variable silences the theme's advertisement of its successor.
docs: $(INSTALLED)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: $(INSTALLED)
	@$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o $(LOCK)

ci:
	@bash .ci/run

install: $(INSTALLED)
	@:

# Bytecode is compiled now, once: importing Lightning takes about 10 s without it.
$(INSTALLED): $(LOCK) pyproject.toml
	@python=; for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "noisylearn needs Python 3.11 or newer, and no python3 here is: install one, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi; \
	echo "installing the locked versions into $(VENV) (once; with PyTorch this is some gigabytes) ..."; \
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $$python -m venv --clear $(VENV)
	@awk '/^[^ ]/ { keep = /^uv==/ } keep' $(LOCK) > $(VENV)/uv.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --require-hashes --exact --compile-bytecode --python $(BIN)/python -r $(LOCK)
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@
