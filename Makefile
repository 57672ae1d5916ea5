# make demo   installs the core and runs the main job on real photographs
# make test   installs everything and runs all tests
# On a machine where PyTorch's own index is wanted (a laptop without a GPU, say):
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
DATA ?= ../shared/data
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup demo test check bench bench-shared bench-pixel docs clean help

help:
	@sed -n 's/^# //p' Makefile | head -4
	@echo "other targets: setup check bench bench-shared bench-pixel docs clean"

setup: $(VENV)/dev.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Anomalens needs Python 3.11 or newer; set PYTHON=…"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian or Ubuntu run: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/dev.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[fast,train,video,backbones,dev]'
	@touch $@ $(VENV)/core.installed

demo: $(VENV)/core.installed
	$(BIN)/anomalens demo

test: $(VENV)/dev.installed
	$(BIN)/python -m pytest

check: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed
	$(BIN)/python benchmarks/main_job.py

bench-shared: $(VENV)/dev.installed
	$(BIN)/anomalens benchmark suites/shared.toml --root $(DATA) --out benchmarks/cards \
	  --table benchmarks/results.md

# Every pixel-level detector on the sets with masks; the second line trains networks, which takes hours.
bench-pixel: $(VENV)/dev.installed
	$(BIN)/anomalens benchmark suites/pixel-level.toml --root $(DATA) --out benchmarks/cards \
	  --table benchmarks/pixel-level.md
	$(BIN)/anomalens benchmark suites/pixel-level-trained.toml --root $(DATA) --out benchmarks/cards \
	  --table benchmarks/pixel-level-trained.md

docs: $(VENV)/core.installed
	$(BIN)/python scripts/generate_command_reference.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
