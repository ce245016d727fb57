# `make demo` and `make test` are all that a newcomer needs; both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Side by side: much of a test is waiting for a process or a disk.
PARALLEL := -n 3 --dist worksteal
# Of the long rings: what computes alone, and what needs the machine for itself.
HEAVY := tests/vms tests/e2e/test_clouds.py
LIGHT := tests/catalog tests/clouds tests/contract tests/core tests/passes tests/server/test_contract.py tests/store

# Real processes on a machine that others use too: what failed beside others is tried again, alone.
once_more = $(1) $(2) || $(1) --last-failed --last-failed-no-failures none

.PHONY: demo test check lint long computed format benchmarks charts docs clean

demo: $(VENV)/.demo
	$(BIN)/shoal demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL)

# Format, lint, types, layers, docs, then every test: what CI runs. About 45 minutes on two cores, of
# which lint and the quick tests take three minutes and `computed` a quarter of an hour.
check: lint test long

lint: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

# The long rings that start nothing but databases: the whole kill matrix, each engine, each endpoint.
computed: $(VENV)/.dev
	$(BIN)/python -m pytest -m long tests/kill -n 2 --dist worksteal
	SHOAL_TEST_EXAMPLES=thorough $(BIN)/python -m pytest -m "long or hypothesis" $(LIGHT) $(PARALLEL)

long: computed
	$(call once_more,SHOAL_TEST_EXAMPLES=thorough $(BIN)/python -m pytest -m "long or hypothesis" \
		$(foreach it,tests/kill $(LIGHT) $(HEAVY),--ignore $(it)),-n 2 --dist loadfile)
	$(call once_more,$(BIN)/python -m pytest -m long $(HEAVY) -rs,)

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

benchmarks: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Charts that can be zoomed, with npm; without them the server draws them.
charts:
	$(PYTHON) web/assets.py

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	touch $@

$(VENV)/.demo: $(VENV)/.uv pyproject.toml
	SHOAL_ASSETS=skip $(UV) pip install --quiet --python $(BIN)/python -e '.[demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.uv pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python -e '.[demo]' --group dev
	touch $@

clean:
	rm -rf $(VENV)
