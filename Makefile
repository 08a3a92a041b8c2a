# Where there is no make: `python3 dev.py run`, `python3 dev.py test`. The other recipes can be typed as they stand here.

PYTHON ?= python3
BIN := .venv/bin
COMPOSE := docker compose -f deploy/compose.yaml
ARGS ?=
# For `make fuzz` and `make chaos`: the same seed tries the same.
SEED ?= 0
CASES ?= 20000
# Of each property, and lives of the state machine; `make properties`, `make machine`.
EXAMPLES ?= 2000
# Of each 40 zones are tried; `make agreement`.
RULES ?= 20000
# For `make corpora`: rules of others, which are not part of the project.
CORPORA ?= ../shared/corpora

.DEFAULT_GOAL := help
.PHONY: help setup run test coverage check fmt chaos fuzz corpora properties machine agreement bench bench-quick bench-growth bench-ws bench-peers bench-recurrence bench-hostile lock lint-deploy migrate-up docker-build docker-up docker-qup docker-qdown

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start Qhronos with stores of its own; options as in ARGS="--port 9000"
	@exec $(PYTHON) dev.py run $(ARGS)

test: ## run the tests; a part of them with ARGS="tests/unit -k retry"
	@exec $(PYTHON) dev.py test $(ARGS)

coverage: ## run the tests, and say which lines of the package none of them runs
	@exec $(PYTHON) dev.py coverage

setup: ## make .venv with what requirements.lock lists
	@$(PYTHON) dev.py setup

check: setup lint-deploy ## format, lint, types, import contracts, dead code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@# What it calls a variable in lower case is a field, which JSON or a row reads and writes.
	@! $(BIN)/vulture | grep -vE "unused (variable|attribute) '_?[a-z][a-z0-9_]*'"

lint-deploy: setup ## Dockerfile, what is under deploy/, and the other YAML
	@$(BIN)/yamllint --strict .
	@test ! -x $(BIN)/hadolint || $(BIN)/hadolint Dockerfile
	@$(BIN)/pytest -q tests/unit/test_deploy.py

fmt: setup ## format, and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

chaos: setup ## kill, stop, cut and flush everything under load, from SEED, for half an hour; ARGS="--scenario R1" is one of it
	@PYTHONPATH=. $(BIN)/python -m tests.chaos --seed $(SEED) $(ARGS)

fuzz: setup ## throw CASES requests at every route, from SEED
	@QHRONOS_FUZZ_SEED=$(SEED) QHRONOS_FUZZ_CASES=$(CASES) $(BIN)/pytest tests/fuzz $(ARGS)

corpora: setup ## compare recurrences with what others make of them, where CORPORA is a folder
	@if test -d "$(CORPORA)"; then QHRONOS_CORPORA="$(CORPORA)" $(BIN)/pytest tests/corpora $(ARGS); \
		else echo "There is no $(CORPORA): the corpora are skipped."; fi

properties: setup ## try what must hold for every recurrence and every endpoint on EXAMPLES of each
	@QHRONOS_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/unit/test_recurrence_properties.py tests/unit/test_recurrence_cron.py tests/unit/test_recurrence_phrases.py tests/unit/test_recurrence_splitting.py tests/unit/test_recurrence_fuzz.py tests/unit/test_recurrence_changes.py tests/contract/test_http_fuzz.py $(ARGS)

machine: setup ## let EXAMPLES random lives of events, services and faults come to rest, and look for what was lost
	@QHRONOS_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/service/test_machine.py $(ARGS)

agreement: setup ## compare RULES random rules with python-dateutil, from SEED, each in 40 zones
	@QHRONOS_TEST_RULES=$(RULES) QHRONOS_TEST_SEED=$(SEED) $(BIN)/pytest -s tests/unit/test_recurrence_dateutil.py $(ARGS)

bench: setup ## the benchmark beside its peers, in a quarter of an hour; what is measured is in build/bench
	@PYTHONPATH=. $(BIN)/python -m tests.benchmarks $(ARGS)

bench-quick: setup ## the benchmark without its peers, in three minutes
	@-$(BIN)/python tests/benchmarks/peers/install.py client
	@PYTHONPATH=. $(BIN)/python -m tests.benchmarks --quick $(ARGS)

bench-growth: setup ## what an occurrence costs among many; ARGS="--most 10000000" goes on to ten million
	@PYTHONPATH=. $(BIN)/python -m tests.benchmarks.growth $(ARGS)

bench-ws: setup ## the gateway: sockets of one process, fan-out, lateness and what a message costs, in three minutes
	@PYTHONPATH=. $(BIN)/python -m tests.benchmarks.sockets $(ARGS)

bench-peers: setup ## install the peers of the benchmark into build/bench-peers
	@$(BIN)/python tests/benchmarks/peers/install.py $(ARGS)

bench-recurrence: setup ## the recurrence engine beside python-dateutil; ARGS=--quick measures less
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/recurrence.py $(ARGS)

bench-hostile: setup ## how long the worst recurrences hold a process
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/hostile.py $(ARGS)

lock: ## bring requirements.lock up to pyproject.toml; ARGS=--upgrade chooses every version anew; needs uv
	@printf 'hatchling>=1.27\neditables\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --extra test --output-file requirements.lock $(ARGS) pyproject.toml -

migrate-up: setup ## bring the schema of DATABASE_URL up to date
	@$(BIN)/qhronos migrate $(ARGS)

docker-build: ## build the image
	docker build --tag qhronos .

docker-up: ## start Postgres and Redis in containers
	$(COMPOSE) up --detach --wait postgres redis

docker-qup: ## start everything in containers
	$(COMPOSE) up --detach --wait --build

docker-qdown: ## end what docker-up and docker-qup started
	$(COMPOSE) down
