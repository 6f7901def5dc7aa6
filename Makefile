# The two commands of the README: `make demo` and `make test`. Needs python3 (3.11 to 3.13) and make, nothing else;
# everything it installs goes into this folder (.uv, .venv).

PYTHON ?= python3
UV_VERSION := 0.13.9
# The system's Python is used as it is: nothing is downloaded but packages.
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=

UV := .uv/bin/uv
VENV := .venv/.synced
RUN := .venv/bin/
# The policy pack needs older libraries, so it has an environment of its own.
POLICIES := policies/.venv/.synced

.PHONY: help install demo test lint types unit policies policies-install bench format stop clean

help:            ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/:/' | column -t -s:

install: $(VENV) ## install everything into .venv

.uv/.ready-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.12 …" >&2; exit 2; }
	@rm -rf .uv
	@$(PYTHON) -m venv .uv || { echo "error: $(PYTHON) cannot make virtual environments (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 2; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV): .uv/.ready-$(UV_VERSION) pyproject.toml uv.lock
	@$(UV) sync --quiet --locked --python $(PYTHON)
	@touch $@

policies-install: $(POLICIES)

$(POLICIES): .uv/.ready-$(UV_VERSION) policies/pyproject.toml policies/uv.lock
	@$(UV) sync --quiet --locked --project policies --python $(PYTHON)
	@touch $@

demo: install    ## the whole life cycle on this machine, with real Triton
	@$(RUN)python scripts/demo.py

test: lint types policies unit ## lint, types and all tests

lint: install    ## ruff, and the workflows
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)zizmor --offline --quiet .github
	$(RUN)check-jsonschema --quiet --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)
	$(RUN)check-jsonschema --quiet --builtin-schema vendor.github-actions $(wildcard .github/actions/*/action.yml)

types: install   ## pyright
	$(RUN)pyright

policies: policies-install ## lint, types and tests of the policy pack
	cd policies && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/pyright && .venv/bin/pytest

unit: install policies-install ## every other test, on two cores
	$(RUN)pytest -n 2 --dist loadfile

bench: install   ## the ratios of docs/benchmarks.md
	@$(RUN)python -m bench

format: install  ## format and fix what can be fixed
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

stop: install    ## end every emulator process of this folder
	@$(RUN)cohost local stop

clean:           ## remove what was installed and every local stack
	@if [ -x $(RUN)cohost ]; then $(RUN)cohost local stop || true; fi
	rm -rf .venv policies/.venv .uv .cohost
