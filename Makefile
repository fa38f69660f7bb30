# Everything runs in a virtual environment of its own; nothing is installed into the system.
#
#   make demo      see it work
#   make test      run the tests

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)

# On Linux, PyPI's torch brings gigabytes of CUDA libraries. This index has the CPU-only build of
# the same version; where it cannot be reached, pip says so and goes on with PyPI.
# For an NVIDIA card: make demo TORCH_INDEX=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
STAMP := $(VENV)/.refvid-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types completions kept check clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1@/' | awk -F@ '{printf "%-20s%s\n", $$1, $$2}'

setup: $(STAMP) ## create the virtual environment with refvid and its tools

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' # the first one that knows --group
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --timeout 30 --retries 2 \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]' --group dev
	touch $@

demo: $(STAMP) ## enhance the bundled sample clip and show the gain
	$(BIN)/refvid demo --overwrite

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest

lint: $(STAMP) ## check style, and that imports point down
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## check types
	$(BIN)/mypy

kept: $(STAMP) ## write docs/kept.md again
	$(BIN)/python -m refvid.media.kept docs/kept.md

completions: $(STAMP) ## write the shell completion scripts again
	$(BIN)/python -m refvid.cli.completions completions

check: lint types test ## everything above that can fail

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
