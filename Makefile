# make demo    sets all up, then trains two private models on generated scans
# make test    sets all up, then checks everything
# make test-ipu-env    the IPU worker under what PopTorch demands, Python 3.8 and torch 2.0.1: 4 GB to fetch
# A GPU or CPU build of torch other than the default: set pip's own options, such as PIP_INDEX_URL, before make.

PYTHON ?= python3
IPU_PYTHON ?= python3.8
BIN := .venv/bin

.PHONY: demo test test-ipu-env format clean
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/dpmed demo

test: .venv/installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n logical --maxprocesses 8 --dist loadfile

test-ipu-env: .venv/installed .venv-ipu/installed
	DPMED_IPU_PYTHON=$(CURDIR)/.venv-ipu/bin/python $(BIN)/pytest tests/ipu

.venv-ipu/installed:
	$(IPU_PYTHON) -m venv .venv-ipu
	.venv-ipu/bin/pip install --quiet torch==2.0.1 "numpy<1.25"
	touch $@

format: .venv/installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv .venv-ipu build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# torch goes first and alone: the rest then finds it present, whichever build the user chose.
.venv/installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev,dicom,ocr,onnx,pretrained,tensorboard]"
	touch $@

# Debian ships venv apart from Python; root gets it installed, anyone else is told what to ask for.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: dpmed needs Python 3.11 or later'; echo 'hint: make PYTHON=/path/to/python3.11'; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ test "$$(id -u)" = 0 && apt-get update --quiet && apt-get install --quiet --yes python3-venv; } || \
		{ echo 'error: this Python cannot make virtual environments'; echo 'hint: sudo apt install python3-venv'; exit 2; }
	$(PYTHON) -m venv .venv
