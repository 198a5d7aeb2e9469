# Two commands do everything: `make train` and `make test`. Each sets the machine up first; a second run skips that.
#
#   make train                                       train on the shipped configuration
#   make train CONFIG=my.yaml ARGS="seed=1 updates=50"
#   make test  PYTEST_ARGS="-k credit"
#   make bench BENCH=rollout ARGS=--help

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
EXTRAS := search,web,tools,routing,sql,swe,train,dev
# Rows and API classes that a test of agentgym/ToolCall-v0 replays; not a dependency (it pins old libraries).
BFCL := $(VENV)/share/bfcl
# vLLM's CPU build lives apart: it pins other libraries.
VLLM_VENV := .venv-vllm
PYTHON ?=

CONFIG ?= examples/search.yaml
ARGS ?=
PYTEST_ARGS ?=
# Test processes. Each holds a model or a local Ray at times, so more than the cores only slows them down.
JOBS ?= 2
# Benchmarks to run. Left out, to be named: `credit` trains many policies (hours), `engines` needs
# .venv-vllm (make test-vllm), `gpu` needs a GPU, `peers` installs another library into
# a virtual environment of its own.
BENCH ?= $(filter-out credit engines gpu peers,$(patsubst benchmarks/%.py,%,$(wildcard benchmarks/*.py)))

.PHONY: help setup train test test-vllm lint format bench docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything that training and testing need

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON='$(PYTHON)' scripts/setup.sh '$(VENV)' '$(EXTRAS)'
	@touch $@

train: $(STAMP) ## train (CONFIG=examples/search.yaml, ARGS="key=value ..."); results go to runs/NAME
	@$(BIN)/agentgym train $(CONFIG) $(ARGS)

test: lint $(BFCL) ## lint, type check, all tests; starts a Docker daemon for them where none runs
	@scripts/chromium.sh
	@OMP_NUM_THREADS=1 scripts/docker.sh run $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

$(BFCL): $(STAMP)
	@rm -rf $@ && $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -c constraints.txt --target $@ bfcl-eval==2026.3.23
	@touch $@

test-vllm: ## the tests of the vLLM engine, with its CPU build, in a virtual environment of their own
	@PYTHON='$(PYTHON)' scripts/vllm.sh '$(VLLM_VENV)'
	@# Even when it is told to be eager, vLLM compiles a small function, which takes seconds.
	@TORCH_COMPILE_DISABLE=1 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(VLLM_VENV)/bin/python -m pytest tests/engines/vllm $(PYTEST_ARGS)

lint: $(STAMP) ## style, format and types, without the tests
	@$(BIN)/ruff check . || { echo "make: mend what ruff names above; '$(BIN)/ruff check --fix .' does part of it" >&2; exit 1; }
	@$(BIN)/ruff format --check --quiet . || { echo "make: run 'make format'" >&2; exit 1; }
	@$(BIN)/python scripts/typecheck.py

format: $(STAMP) ## format the sources and sort their imports
	@$(BIN)/ruff check --select I --fix --quiet . && $(BIN)/ruff format --quiet .

bench: $(STAMP) ## run the short benchmarks, or those named (BENCH="credit", ARGS="--help")
	@for name in $(BENCH); do echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py $(ARGS); done

docs: $(STAMP) ## write the configuration reference in docs/training.md and the page docs/methods.md anew
	@$(BIN)/python scripts/config_reference.py
	@$(BIN)/python scripts/methods_page.py

clean: ## remove .venv, .venv-vllm and all caches; runs/ stays
	@rm -rf $(VENV) $(VLLM_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@find agentgym tests examples benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
