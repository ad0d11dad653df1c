# mailhub: `make run` and `make test` are all you need; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
# How many tests run side by side, and what else pytest is told.
JOBS ?= 2
OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help install run test lint style bench faults vendor i18n screenshots requirements settings-doc clean

help:  ## This list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

install: $(STAMP)  ## Make .venv and install the pinned dependencies

# Made again when what is to be installed has changed. The stamp is written last, so that a broken install is repeated.
# dkimpy (for tests only) has no wheel.
$(STAMP): requirements.txt requirements-dev.txt setup.py
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("mailhub needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Choose another: make install PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-binary dkimpy -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install  ## Start everything: site, reports, workers, database, mailbox; Ctrl-C stops it
	@exec $(BIN)/mailhub up

test: install  ## Run the whole suite (TESTS=tests/lists for a part, JOBS=4 for more at once)
	@$(BIN)/python -m pytest -n $(JOBS) $(OPTIONS) $(TESTS)

lint: style  ## Style, types, who may import whom, templates
	$(BIN)/python -m pytest -q tests/house

# What `make test` does not look at by itself.
style: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: install  ## Measure: every program of bench/, one after the other, figures to var/bench/
	@mkdir -p var/bench
	@for name in $$(grep -l "__main__" bench/[a-z]*.py | xargs -n 1 basename -s .py); do \
	  $(BIN)/python -m bench.$$name --json var/bench/$$name.json || exit 1; done

faults: install  ## Fire drills: kill things in mid-work and see that nothing is lost
	@$(BIN)/python -m tests.faults all

vendor:  ## Fetch the browser libraries again (needs node)
	@tools/vendor/update

i18n: install  ## Collect the texts to translate and compile the catalogues
	@$(BIN)/python tools/i18n.py update

screenshots: install  ## Make the pictures in docs/ again
	@$(BIN)/python -m tools.screenshots

requirements: install  ## Pin the newest versions that requirements*.in allow
	$(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.txt requirements.in
	$(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-dev.txt requirements-dev.in

settings-doc: install  ## Write docs/settings.md from the table of settings
	@$(BIN)/python -m mailhub.settings_page > docs/settings.md

clean:  ## Remove caches (not var/, which holds your data)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build
