# Everything here runs on a machine with nothing but Python 3.11+ and make.
# A C compiler is optional: without one, mapscope runs on its reference kernels (slower) and says so.

VENV ?= .venv
PY := $(VENV)/bin/python
# Debian's own python3 may come without venv, and version managers put shims on PATH that do not run: so try each.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
PYTEST_FLAGS ?=
WORKERS ?= 2
GO ?=
BENCH_FLAGS ?=
TOOLCHAINS ?= 1.21 1.22 1.23 1.24 1.25 1.26 1.27
KERNELS := $(wildcard src/mapscope/_kernels/*.pyx) $(wildcard src/mapscope/_kernels/*.pxd)

.PHONY: help demo test lint format bench docs install dev kernels system ui ui-check clean

help:
	@echo 'make demo    build and run a small leaking Go service, take its core, analyse it   (GO=1.23.9 picks the release)'
	@echo 'make test    install what the tests need and run all of them'
	@echo 'make lint    ruff, mypy --strict, import-linter, size of files'
	@echo 'make bench   time and memory against cat and the Go collector, in one run          (BENCH_FLAGS=--help)'
	@echo 'make docs    the documentation as a site in build/docs; warnings are errors'
	@echo 'make format  ruff format'
	@echo 'make ui      builds the script and styles of the HTML report   (needs node and npm)'
	@echo 'make clean   remove what was built; the toolchain cache stays'

demo: install kernels
	@$(PY) examples/demo.py $(if $(GO),--go $(GO))

test: dev kernels system
	@$(PY) -m mapscope.lab.toolchains install $(TOOLCHAINS)
	@$(PY) -m compileall -q -j 0 src  # also where the environment forbids it: commands are started a thousand times
	$(PY) -m pytest -n $(WORKERS) $(PYTEST_FLAGS)

lint: dev kernels
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/unit/test_house.py

format: dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: dev kernels
	@$(PY) -m bench.run $(BENCH_FLAGS)

docs: $(VENV)/.installed-docs
	$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo 'the site: build/docs/index.html'

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev
kernels: $(VENV)/.kernels

# pip asks the network for nothing when all requirements are met already, so a second run works offline.
# MAPSCOPE_PURE: the kernels are built below, in place, where a change of one is seen by make.
$(VENV)/.python:
	@test -n '$(PYTHON)' || { echo 'mapscope needs Python 3.11 or newer with venv and pip (Debian: apt-get install python3-venv)'; exit 1; }
	@echo '== environment $(VENV) ($(PYTHON))'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q 'pip>=23.2'
	@touch $@

$(VENV)/.installed: pyproject.toml setup.py | $(VENV)/.python
	@echo '== installing mapscope'
	@$(PY) -m pip install -q 'setuptools>=77' 'Cython>=3.1' wheel
	@MAPSCOPE_PURE=1 $(PY) -m pip install -q --no-build-isolation -e '.[asm]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo '== installing the tools of the tests'
	@MAPSCOPE_PURE=1 $(PY) -m pip install -q --no-build-isolation -e '.[asm,query,arrow,lab,web,fleet,docs,dev]'
	@$(PY) -m pip install -q 'drgn>=0.0.27' || echo 'no drgn for this machine: tests that ask it as an oracle are skipped'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo '== installing the tools of the documentation'
	@MAPSCOPE_PURE=1 $(PY) -m pip install -q --no-build-isolation -e '.[docs]'
	@touch $@

$(VENV)/.kernels: $(KERNELS) setup.py $(VENV)/.installed
	@echo '== building the kernels'
	@$(PY) tools/build_kernels.py
	@touch $@

system:
	@$(PY) tools/system_packages.py

# What a user installs is built already: src/mapscope/report/static is part of the package and of the repository.
ui: ui/node_modules/.installed
	cd ui && npm run --silent build

ui-check: ui/node_modules/.installed
	cd ui && npm run --silent check

ui/node_modules/.installed: ui/package.json ui/package-lock.json
	@echo '== installing the tools of the page'
	@cd ui && npm ci --no-progress --loglevel=error
	@touch $@

clean:
	rm -rf build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis $(VENV)/.kernels
	find src -name '*.so' -delete
