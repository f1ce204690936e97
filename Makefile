# Two commands: `make demo` runs the main job, `make test` runs every test. Each does all of its own set-up.
SHELL := /bin/bash
# Busy-waiting OpenMP threads on two shared cores cost a factor of ten: every process that runs torch waits passively.
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 0
export KMP_BLOCKTIME ?= 0
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1

RUN ?= demo
FROM_SCRATCH ?= 0

.PHONY: demo test test-vllm test-quantize test-harness test-fast lint format proto install clean

demo: ## the main job: the whole loop on this machine, about 20 minutes after installation; resumes when run again
	@scripts/install.sh core
	@exec .venv/bin/sindbad demo --run $(RUN) $(if $(filter 1,$(FROM_SCRATCH)),--from-scratch)

install:
	@scripts/install.sh core dev

test: ## every test, the slow ones too
	@scripts/install.sh core dev
	@.venv/bin/python -m pytest -q

test-vllm: ## the engine contract suite against vLLM's CPU build, in an environment of its own (2 minutes to install)
	@scripts/install.sh vllm
	@PYTHONPATH=. .venv-vllm/bin/python -m pytest -q tests/contract/test_engines.py -k vllm -p no:cacheprovider

test-quantize: ## our eight-bit writer beside llm-compressor's, in an environment of its own (2 minutes to install)
	@scripts/install.sh core dev quantize
	@.venv/bin/python -m pytest -q tests/unit/quantize/test_llm_compressor.py

test-harness: ## lm-eval and lighteval on real items, each in an environment of its own (minutes to install)
	@scripts/install.sh core dev lm-eval lighteval
	@.venv/bin/python -m pytest -q tests/unit/evaluation/test_harness_run.py

test-fast: ## what to run while you edit
	@scripts/install.sh core dev
	@.venv/bin/python -m pytest -q -m "not slow" -x

lint:
	@scripts/install.sh core dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format:
	@scripts/install.sh core dev
	@.venv/bin/ruff check --fix-only -q . ; .venv/bin/ruff format -q .

proto: ## regenerate sindbad/v1 from protos/
	@scripts/install.sh core dev
	@scripts/genproto.sh

clean: ## runs and caches; keeps .venv
	rm -rf runs .cache .pytest_cache .mypy_cache .ruff_cache
