# Every target sets itself up first; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
SOURCES := video2act_ros tests launch setup.py
SCRIPTS := scripts/*.sh docker/*.sh .ci/run
# The messages' libraries lie in .venv/lib, where an installation's own environment does not look.
PYTEST := LD_LIBRARY_PATH=$(CURDIR)/.venv/lib$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH} $(BIN)/python -m pytest -q
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test lint unit node e2e launch-test format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv: Python packages, ROS 2, messages (incremental)
	@scripts/setup.sh

demo: setup  ## the simulated robot lifts the cube; writes out/demo/ (ARGS="--episodes 2" for options)
	@$(BIN)/video2act demo $(ARGS)

test: lint unit node e2e launch-test  ## everything that CI runs

lint: export PATH := $(CURDIR)/$(BIN):$(PATH)
lint: setup  ## ruff, mypy, shellcheck, hadolint, and the schemas of compose.yaml and the workflow
	@$(BIN)/python -m ruff check $(SOURCES)
	@$(BIN)/python -m ruff format --check $(SOURCES)
	@$(BIN)/python -m mypy
	@shellcheck $(SCRIPTS)
	@hadolint Dockerfile
	@check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

unit: setup  ## tests without ROS
	@$(PYTEST) -n auto --dist loadfile tests/unit

node: setup  ## real nodes in one process
	@$(PYTEST) tests/node

e2e: setup  ## real processes against the simulation
	@$(PYTEST) tests/e2e --ignore tests/e2e/test_two_machines.py
	@$(PYTEST) tests/e2e/test_two_machines.py  # networks of its own need a process of its own

launch-test: setup  ## the launch files, where the launch packages are installed
	@$(PYTEST) tests/launch

format: setup  ## let ruff rewrite the sources
	@$(BIN)/python -m ruff check --fix $(SOURCES)
	@$(BIN)/python -m ruff format $(SOURCES)

clean:  ## remove what was built (.venv too)
	rm -rf .venv out build install log ros2_ws/build ros2_ws/install ros2_ws/log *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
