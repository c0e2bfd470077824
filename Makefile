# make run   the main job: set-up included, measures MobileOne-S0 on this machine
# make test  everything that must hold: set-up included
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUN_ARGS ?=

# Debian's names. To build the harness, and to test it.
PACKAGES := cmake g++ gcc libc6-dev make ninja-build nlohmann-json3-dev
TEST_PACKAGES := adb clang doctest-dev dpkg-dev g++-aarch64-linux-gnu g++-arm-linux-gnueabihf g++-riscv64-linux-gnu openssh-client \
	openssh-server qemu-user-static android-libbase-dev android-libboringssl-dev android-libcutils-dev android-liblog-dev libcap-dev

# Where there is no dpkg the build itself names what it misses.
define install_missing
missing=; for package in $(1); do \
	! command -v dpkg >/dev/null || dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
[ "$$(id -u)" = 0 ] || { echo "These packages are missing. Run: sudo apt-get install$$missing"; exit 1; }; \
apt-get update -qq; \
apt-get install --yes --no-install-recommends $$missing
endef

.PHONY: run test lint typecheck unit harness ctest packages test-packages wheel clean help
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): about 6 GB and 2 to 4 minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[export,harness,adb,dev]'
	@touch $@

packages: ## install the Debian packages that building needs, where they are missing (as root)
	@$(call install_missing,$(PACKAGES))

test-packages: ## install those that only tests need, too
	@# The tests start an sshd of their own: the service that Debian's package brings is neither started nor enabled.
	@if [ -d /run/systemd/system ] && [ "$$(id -u)" = 0 ] && ! dpkg -s openssh-server >/dev/null 2>&1; then \
		systemctl mask --runtime --quiet ssh.service ssh.socket || true; \
		trap 'systemctl unmask --runtime --quiet ssh.service ssh.socket || true; systemctl disable --quiet ssh.service ssh.socket || true' EXIT; \
	fi; \
	$(call install_missing,$(PACKAGES) $(TEST_PACKAGES))

harness: packages $(VENV)/.installed ## build the native harness for this machine: minutes once, then cached
	$(BIN)/edgebench harness build

ctest: ## the harness's own tests, with sanitizers
	@mkdir -p build
	cmake -G Ninja -S android_harness -B build/harness-tests -DHARNESS_TESTS=ON -DHARNESS_SANITIZE=ON \
		-DJSON_INCLUDE=/usr/include -DCMAKE_BUILD_TYPE=Debug > build/harness-tests.log
	cmake --build build/harness-tests >> build/harness-tests.log || { tail -50 build/harness-tests.log; exit 1; }
	ctest --test-dir build/harness-tests --output-on-failure

run: harness ## measure MobileOne-S0 on this machine (RUN_ARGS="--launches 3" for less)
	$(BIN)/edgebench run mobileone $(RUN_ARGS)

test: test-packages lint typecheck ctest unit ## lint, types, and every test

lint: $(VENV)/.installed ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed ## mypy --strict
	$(BIN)/mypy

unit: harness ## pytest, two files at a time: much of it waits
	@# What fails beside another file, whose work canaries and deadlines feel, must pass alone. 1: pytest's word for failed tests.
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile || { [ $$? = 1 ] && \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

wheel: $(VENV)/.installed ## build the wheel with the prebuilt canary library and harnesses, and check its contents
	$(BIN)/python -m edgebench.device.canary_build edgebench/_prebuilt
	for abi in x86_64 arm64-v8a; do \
		built=$$($(BIN)/edgebench harness build --abi $$abi --json | $(BIN)/python -c 'import json,sys; print(json.load(sys.stdin)["path"])'); \
		install -m 755 $$built edgebench/_prebuilt/edgebench_harness-$$abi; \
	done
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist
	for file in libedgebench_canary edgebench_harness-x86_64 edgebench_harness-arm64-v8a; do \
		$(BIN)/python -m zipfile --list dist/*.whl | grep "_prebuilt/$$file" || { echo "the wheel lacks $$file"; exit 1; }; \
	done
	$(BIN)/python -m pytest tests/test_wheel.py

clean: ## remove what the build made
	rm -rf $(VENV) dist build
