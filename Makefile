# Everything a person does with tfav, one word each. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The versions that the tests passed on, one file for each Python; without one the newest that setup.cfg allows.
MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := $(wildcard tests/versions/python-$(MINOR).txt)

SYSTEM ?= cnn_lstm
PRESET ?= demo
DATA ?= runs/demo/$(SYSTEM)/videos
RUN ?= runs/$(SYSTEM)-$(PRESET)
BENCH ?= all
TESTS ?=
MATRIX ?=
NOTEBOOKS ?=
SERVE ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-matrix constraints lint format notebooks bench train clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

setup: $(READY) ## Make .venv and install everything into it.

# The last line lays the right OpenCV down and looks at the rest: imgaug brings in a wheel that hides cv2.optflow.
$(READY): setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' $(CONSTRAINTS:%=--constraint %)
	$(BIN)/tfav doctor --mend
	@touch $@

demo: setup ## Make data, train, evaluate, predict and report every system, small.
	$(BIN)/tfav demo --run-dir runs/demo

serve: setup ## Serve the web page: SERVE="--run-dir cnn_lstm=runs/mine --port 7861".
	$(BIN)/tfav serve $(SERVE)

test: setup ## Run the tests (TESTS=... for some of them, TESTS=--runslow for all).
	$(BIN)/python -m pytest -q -rs -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

test-matrix: setup ## Run the quick tests on every Python of this machine, with the newest and the oldest versions allowed.
	$(BIN)/python -m tests.versions $(MATRIX)

constraints: setup ## Keep the newest versions on which the quick tests pass; `make setup` installs these.
	$(BIN)/python -m tests.versions --sets newest --write

lint: setup ## Check style and format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Mend style and format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: setup ## Run notebooks in full and store their outputs: NOTEBOOKS=cnn_lstm, or all of them.
	$(BIN)/python -m tests.notebooks $(NOTEBOOKS)

bench: setup ## Run a benchmark, BENCH=frames for one, or all of them into runs/bench/table.md.
	$(BIN)/python -m tests.bench $(BENCH)

train: setup ## Train: SYSTEM=cnn_lstm PRESET=transfer DATA=videos RUN=runs/mine.
	$(BIN)/tfav train $(SYSTEM) --preset $(PRESET) --data-dir $(DATA) --run-dir $(RUN)

clean: ## Remove the environment, runs and caches; data/ stays.
	rm -rf $(VENV) .venvs runs .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
