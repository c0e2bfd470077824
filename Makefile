# make run   the main job: set-up included, measures MobileOne-S0 on this machine
# make test  everything that must hold: set-up included
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUN_ARGS ?=

.PHONY: run test lint typecheck unit wheel clean help
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): about 6 GB and 2 minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[export,dev]'
	@touch $@

run: $(VENV)/.installed ## measure MobileOne-S0 on this machine (RUN_ARGS="--launches 3" for less)
	$(BIN)/edgebench run mobileone $(RUN_ARGS)

test: lint typecheck unit ## lint, types, and every test

lint: $(VENV)/.installed ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed ## mypy --strict
	$(BIN)/mypy

unit: $(VENV)/.installed ## pytest
	$(BIN)/python -m pytest

wheel: $(VENV)/.installed ## build the wheel with its prebuilt canary library, and check its contents
	$(BIN)/python -m edgebench.device.canary_build edgebench/_prebuilt
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist
	$(BIN)/python -m zipfile --list dist/*.whl | grep "_prebuilt/libedgebench_canary" \
		|| { echo "the wheel lacks the canary library"; exit 1; }
	$(BIN)/python -m pytest tests/test_wheel.py

clean: ## remove what the build made
	rm -rf $(VENV) dist build
