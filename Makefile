# One environment holds both halves, in .venv. Everything here works on a machine with only python3 (3.11 or newer,
# with venv and pip) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# PyTorch, Keras and TensorFlow, which only the tests of the client's adapters need: 1.5 minutes and 2.2 GB, once.
FRAMEWORKS := $(VENV)/.frameworks

.PHONY: setup demo test chaos lint bench bench-peers proto clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo [DATA=path]  import, serve, train, evaluate, predict; shows the result"
	@echo "make test              every test"
	@echo "make chaos             what takes longer: servers killed, frozen and overloaded under running trainers"
	@echo "make lint              static checks"
	@echo "make bench             benchmarks, in under five minutes, into docs/benchmarks.md"
	@echo "make parity            models beside Keras' and PyTorch's, in an environment of several GB for them; one step of each"
	@echo "make bench-peers       beside PyTorch, Grain and TensorFlow, in an environment of several GB for them"
	@echo "make proto             regenerate the contract's code"
	@echo "make setup             only the environment, in .venv"

setup: $(STAMP)

$(STAMP): pyproject.toml requirements/all.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/all.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(FRAMEWORKS): $(STAMP) requirements/frameworks.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/frameworks.txt -c requirements/all.txt
	@touch $(FRAMEWORKS)

demo: setup
	$(BIN)/python -m deploy.demo $(if $(DATA),--data $(DATA))

test: $(FRAMEWORKS)
	$(BIN)/python -m pytest

chaos: setup
	$(BIN)/python -m tests.chaos

.PHONY: parity
parity: setup
	$(BIN)/python -m tests.parity $(MODELS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v buf >/dev/null; then buf lint proto; else echo "buf not found: contract style not checked"; fi

bench: setup
	$(BIN)/python -m benchmarks

bench-peers: setup
	$(BIN)/python -m benchmarks peers

proto: setup
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=proto --pyi_out=proto --grpc_python_out=proto \
		proto/inkstream/v1/batch_service.proto

clean:
	rm -rf $(VENV) .venv-peers .venv-references .demo
