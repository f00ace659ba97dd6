# make demo    the main job on this machine: ten nodes, sample records, the report
# make test    everything; sets itself up, from Debian's packages too where root may install them
# make check   the fast loop: lint, types, import contracts, unit and federation tests
# make up      the ten nodes in containers, a PostgreSQL each (COMPOSE_PROFILES=small make up: one node of every tier)
# make replay  the sample records through them, and the report; make down ends them, ARGS=--volumes for good
# make logs NODE=cn/33  what one of them says
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_JOBS ?= 2
# Where the surroundings forbid it, every program that is started compiles all of this anew: a quarter of a second each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check lint packages drill fuzz lock clean up down replay logs images wheels

setup: $(VENV)/.ready

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "health-exchange needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import venv, ensurepip' || (echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/health-exchange demo $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests benchmarks
	$(BIN)/lint-imports

check: lint
	$(BIN)/pytest -n $(PYTEST_JOBS) -m "not slow"

test: lint packages
	$(BIN)/pytest -n $(PYTEST_JOBS)

packages:
	@deploy/test-packages

drill: setup
	$(BIN)/python -m pytest -n $(PYTEST_JOBS) tests/federation -m "slow" --seeds 10000
	$(BIN)/python -m pytest -n 0 tests/oracle/test_racing_creates.py --racing 100000

fuzz: setup
	$(BIN)/python -m tests.fuzz $(ARGS)

lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements-dev.lock

up:
	deploy/compose build --quiet init database-cn
	deploy/compose up --detach $(ARGS)

down:
	deploy/compose down --remove-orphans $(ARGS)

replay:
	deploy/compose run --rm replay

logs:
	deploy/compose logs --follow --tail=100 $(subst /,-,$(NODE))

images:
	deploy/images/make

wheels: setup
	rm -rf wheels
	$(BIN)/python -m pip download --quiet --only-binary :all: --require-hashes --dest wheels -r requirements.lock

clean:
	rm -rf $(VENV) demo wheels
