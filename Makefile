# feefifod: every habit is one command. `make run` and `make test` set up all that they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := feefifod tests bench

# What a person has set for other projects must not lead pip out of this environment, nor Python into another one.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: run test check install dev chaos bench docs format lock clean help

help:
	@echo "make run      set up, then run the daemon on embedded servers"
	@echo "make test     set up, then run the tests"
	@echo "make check    ruff, mypy, import-linter, layout tests, known vulnerabilities"
	@echo "make install  leave $(BIN)/feefifod, with the embedded servers"
	@echo "make chaos    the tests that take long, and properties with new random examples"
	@echo "make bench    measure speed and memory: make bench BENCH='--full --write'"
	@echo "make docs     write the references of commands and settings anew"

run: install
	@echo
	@echo "When it says 'watching', drop the sample in, from another terminal:"
	@echo "    cp docs/sample/*.csv data/"
	@echo "and look at the result:"
	@echo "    $(BIN)/feefifod query 'SELECT * FROM assetprice LIMIT 10'"
	@echo "    $(BIN)/feefifod status"
	@echo
	@$(BIN)/feefifod run

# What fails beside other tests is tried once more on its own: a machine that is busy makes some waits too short.
PYTEST := $(BIN)/python -m pytest -m "not slow"
test: dev
	$(PYTEST) -n 2 --dist loadgroup || $(PYTEST) --last-failed --last-failed-no-failures none

check: dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/layout
	@$(BIN)/python tests/layout/audit.py

chaos: dev
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest --hypothesis-profile=default tests/unit

bench: dev
	$(BIN)/python -m bench $(BENCH)

docs: dev
	$(BIN)/python -m feefifod.cli.references docs

format: dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# An environment belongs to the folder that its scripts name and to one Python, and so do the stamps: in a checkout that
# was moved there are none.
PLACE := $(shell { pwd -P; $(PYTHON) -c 'import sys; print(sys.version_info[:2])'; } 2>&1 | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(PLACE)
DEV := $(VENV)/.dev-$(PLACE)

install: $(INSTALLED)
dev: $(DEV)

# A stamp is newer than the lock that it was made from; a half-made environment has no stamp and is made again.
$(INSTALLED): requirements.lock pyproject.toml | preflight
	@test -f $(VENV)/.made-$(PLACE) && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $(VENV)/.made-$(PLACE)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --require-hashes -r requirements-build.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(INSTALLED)
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: preflight
preflight:
	@command -v $(PYTHON) >/dev/null || { echo "feefifod needs Python 3.11 or newer: install python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "feefifod needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv is missing: install python3-venv (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }

lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--extra embedded pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--extra embedded --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--group build -c requirements-dev.lock -o requirements-build.lock

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
