# One environment, made when it is missing or when the lock changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SPARK_STAMP := $(VENV)/.installed-spark
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
GOVERNANCE_HOME ?= .governance
PORT ?= 3000
export GOVERNANCE_HOME

.PHONY: demo test test-spark check ui bench bench-intake bench-seeds bench-accuracy docs lock format clean

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP)   ## simulate a market and govern it
	@$(BIN)/governance demo

test: $(STAMP)   ## the whole suite
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not spark"

$(SPARK_STAMP): requirements-spark.lock $(STAMP)
	@echo "installing pyspark and dbt-spark into $(VENV) (once)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --requirement requirements-spark.lock --constraint requirements.lock
	@touch $(SPARK_STAMP)

test-spark:      ## the marts on Apache Spark equal those on DuckDB; needs Java 17
ifeq ($(shell command -v java),)
	@echo "Java is missing: the marts are not compared with Apache Spark's. Install Java 17 to do it."
else
	@$(MAKE) --no-print-directory $(SPARK_STAMP)
	$(BIN)/pytest -n 0 -m spark tests/integration/test_spark.py
endif

check: $(STAMP)  ## lint, types, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models dbt_project/tests

ui: $(STAMP)     ## web server and daemon on loopback
	DAGSTER_HOME=$(abspath $(GOVERNANCE_HOME))/dagster GOVERNANCE_UI_URL=$${GOVERNANCE_UI_URL:-http://127.0.0.1:$(PORT)} \
		$(BIN)/dagster dev --host 127.0.0.1 --port $(PORT) --workspace workspace.yaml

docs: $(STAMP)   ## the data dictionary, from the descriptions in the code
	$(BIN)/governance dictionary > docs/data-dictionary.md

bench: $(STAMP)  ## cost beside hand-written SQL; SIZE=10m or 100m for more, FOLDER= to work elsewhere
	$(BIN)/python -m benchmarks.intake $(if $(SIZE),--decisions 10000000 --days 3 --pairs 3)
	$(BIN)/python -m benchmarks.scale $(if $(SIZE),--size $(SIZE)) $(if $(FOLDER),--folder $(FOLDER))

bench-intake: $(STAMP)  ## intake beside bare DuckDB, SQL by hand and pandas; SIZE=10m for more
	$(BIN)/python -m benchmarks.intake $(if $(filter 10m,$(SIZE)),--decisions 10000000 --days 3 --pairs 3)

bench-seeds: $(STAMP)  ## what the demo finds over many markets
	$(BIN)/python -m benchmarks.seeds

# The peers' pins conflict with the pipeline's; without them the rows still run and say so.
$(PEERS_STAMP): benchmarks/accuracy/requirements-peers.lock $(STAMP)
	@echo "installing NannyML, Evidently and river into $(PEERS) (once)"
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --requirement $< && touch $@ || echo "the peers could not be installed; going on without them"

bench-accuracy: $(STAMP) $(PEERS_STAMP)  ## false alarms, days to find a drop, coverage, cost; QUICK=1 takes two minutes
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m benchmarks.accuracy $(if $(QUICK),--quick)

lock: $(STAMP)   ## pin every dependency anew
	$(BIN)/uv pip compile --quiet --extra dev --no-header --no-annotate --no-emit-index-url --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --extra spark --constraint requirements.lock --no-header --no-annotate --no-emit-index-url pyproject.toml | grep -vxFf requirements.lock > requirements-spark.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --no-emit-index-url --output-file benchmarks/accuracy/requirements-peers.lock benchmarks/accuracy/requirements-peers.in

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(PEERS) .governance dbt_project/target
