# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
comma := ,
# Folders are taken as they were typed, whatever signs their names hold: `value` expands nothing, `quoted` is for a shell,
# and `typed` for --params, where a comma would end them.
quoted = '$(subst ','\'',$(1))'
path = $(shell realpath -m -- $(call quoted,$(value $(1))))
typed = $(if $(findstring $(comma),$(1)),"$(1)",$(1))
unexport RAW IMAGES
# Many containers forbid Python to keep what it has compiled. Since `setup` compiles nothing, every start would then
# compile all that it imports again, which takes longer than the rest of the start.
unexport PYTHONDONTWRITEBYTECODE
# A category is letters, digits, - and _; a name that has none of them is told by its checksum.
CATEGORY ?= $(if $(value RAW),$(or $(shell basename -- $(call quoted,$(call path,RAW)) | LC_ALL=C sed 's/[^A-Za-z0-9_-]\{1,\}/-/g; s/^[_-]*//; s/-*$$//' | cut -c 1-64),$(shell basename -- $(call quoted,$(call path,RAW)) | cksum | sed 's/ .*//')),chess)
SEED ?= 0
METHOD ?=
CLUSTER ?=
# Who names no method gets the best one that is found, and the best alignment.
ALIGN ?= $(if $(filter-out auto,$(METHOD)),,auto)
PARAMS = category=$(CATEGORY),seed=$(SEED)$(if $(value RAW),$(comma)raw=$(call typed,$(call path,RAW)))$(if $(ALIGN),$(comma)registration.align=$(ALIGN))$(if $(SET),$(comma)$(SET))
PORT ?=
# Kedro and MLflow start each other by name.
BY_NAME := PATH="$(abspath $(BIN)):$$PATH"
# MLflow would start four processes and a queue of jobs, which takes three times as long: one person reads the page.
ONE_READER := MLFLOW_WORKERS=1 MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
# Where no screen is attached there is no browser to open.
NO_BROWSER := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,--no-browser)
WORKERS ?= auto
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup run inspect compare test coverage lint viz ui docs notebooks bench fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## make the virtual environment and install everything into it

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): a few minutes, once."
	$(PYTHON) -c 'import sys; sys.exit("flawline needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Give another: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
# What is never imported need not be compiled: that was half of the time.
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(READY) ## make a detector, of the best method: of the embedded example, or RAW=folder CATEGORY=name [METHOD=name ALIGN=rigid SET=parameter=value]
	$(BIN)/kedro run $(if $(METHOD),--pipelines=$(METHOD)) --params $(call quoted,$(PARAMS))

inspect: $(READY) ## judge new images with the finished detector: IMAGES=folder CATEGORY=name [METHOD=name CLUSTER=local]
	$(if $(value IMAGES),,$(error wanted a folder of new images: make inspect IMAGES=folder CATEGORY=name))
	$(BIN)/kedro run --pipelines=$(if $(METHOD),$(METHOD)_)inspection $(if $(CLUSTER),--cluster $(CLUSTER) )--params $(call quoted,$(PARAMS)$(comma)images=$(call typed,$(call path,IMAGES)))

compare: $(READY) ## run a paper's methods side by side on its embedded examples, beside what was published
	$(BIN)/kedro study schneider2022 --categories chess,noise --seeds $(SEED)

# Where processes fill the cores, threads of one only wait for each other, and burn what they wait.
test coverage notebooks: export OMP_NUM_THREADS := 1

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

coverage: $(READY) ## run the tests and show which lines they miss; takes twice as long
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term $(TESTS)

lint: $(READY) ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# $(call check_port,target,number): a server says of a port in use what only its programmers understand.
check_port = @$(BIN)/python -c 'import socket, sys; sys.exit("port $(2) is in use. End what uses it, or take another: make $(1) PORT=$(shell expr $(2) + 1)" if socket.socket().connect_ex(("127.0.0.1", int("$(2)"))) == 0 else 0)'

viz: $(READY) ## show the lineage as a page, http://127.0.0.1:4141 [PORT=number]; Ctrl-C ends it
	$(call check_port,viz,$(or $(PORT),4141))
	$(BY_NAME) $(BIN)/kedro viz run --port $(or $(PORT),4141) $(NO_BROWSER)

ui: $(READY) ## show the tracked runs as a page, http://127.0.0.1:5000 [PORT=number]; Ctrl-C ends it
	$(call check_port,ui,$(or $(PORT),5000))
	$(BY_NAME) $(ONE_READER) $(BIN)/kedro mlflow ui --port $(or $(PORT),5000)

docs: $(READY) ## build the documentation site into docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

notebooks: $(READY) ## execute the notebooks
	printf '%s\n' notebooks/*.ipynb | xargs -n 1 -P 2 $(BIN)/python -m jupyter execute

bench: $(READY) ## measure the hot paths against what the machine can do
	$(BIN)/python tests/benchmarks/run.py

fuzz: $(READY) ## damage files of every format and count what is made of them
	$(BIN)/python tests/fuzz/run.py --files 10000 --seed 0

clean: ## remove results (not the raw images) and the tracking store
	rm -rf data/0[2-8]_*/*/ mlflow.db mlruns docs/_build
