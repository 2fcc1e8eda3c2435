PYTHON   ?= python3
POINTER  ?= pgvector
SIGNALS  ?= sql
SCENARIO ?= good
HOLD     ?= 60
VENV     := .venv
BIN      := $(VENV)/bin
READY    := $(VENV)/.ready
SOURCES  := bench dags docs include plugins tests

.DEFAULT_GOAL := help
.PHONY: help install servers kube-apiserver weaviate demo stop test test-fast test-matrix test-writers check format docs capabilities bench-flip bench-fence bench-judge bench-mapping bench-build bench-verify bench-ttr test-crash bench-review bench-peers screenshots test-browser simulate-hold lock clean test-approvals test-hold test-schedules

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## make .venv from the lock
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else "Python 3.10 to 3.13 is needed, this is %d.%d; try: make PYTHON=python3.12 ..." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

servers: $(READY) ## fetch the servers that are not Python packages: etcd, Redis, PgBouncer, Kafka, OpenSearch, Elasticsearch
	@$(BIN)/python -m sandbox.servers.fetch

kube-apiserver: $(READY) ## build a real Kubernetes API server for the tests (20 minutes; without it they use an emulator)
	@$(BIN)/python -m sandbox.servers.kubernetes_build

weaviate: $(READY) ## build a real Weaviate for the tests (15 minutes; without it they are skipped)
	@$(BIN)/python -m sandbox.servers.weaviate_build

demo: $(READY) ## one switchover for real (POINTER=pgvector|alb|k8s_service|kv|opensearch SIGNALS=sql|prometheus SCENARIO=good|good-prompt|bad-prompt|late-prompt|bad-green|regression|late-regression|encoder-mismatch|already-live PLAN=FILE HOLD=60 KEEP=1)
	@$(BIN)/python -m sandbox.demo.run --pointer $(POINTER) --signals $(SIGNALS) --scenario $(SCENARIO) --hold $(HOLD) $(if $(PLAN),--plan $(PLAN)) $(if $(KEEP),--keep)

screenshots: $(READY) ## write docs/img/*.png: the review page and the DAG, taken in a demo
	@$(BIN)/python -m sandbox.demo.screenshots

stop: $(READY) ## end a demo that KEEP=1 left running
	@$(BIN)/python -m sandbox.demo.run --stop

test: check ## everything, with real servers and two real demos
	$(BIN)/pytest -q -n 2 --durations=40

test-fast: $(READY) ## the inner ring, and the contracts of what PostgreSQL holds
	$(BIN)/pytest -q tests/inner
	$(BIN)/pytest -q tests/contract -k "pgvector or kv_sql or sql_fence or write_gate or capabilities or (fence and postgres)"

test-browser: $(READY) ## the review page in a real browser: a demo is approved there, and a second one rolled back
	$(BIN)/pytest -q tests/browser

test-approvals: $(READY) ## approvals, messages and metrics of real runs on an Airflow of its own (minutes)
	$(BIN)/pytest -q -m approvals tests/demo

test-hold: $(READY) ## two holds of 15 minutes with looks every 15 s, on a running Airflow: good, and with a late regression (35 minutes)
	@for scenario in good late-regression; do $(BIN)/python -m sandbox.demo.run --plan docs/examples/docs_hold.yaml --scenario $$scenario --hold 900 || exit 1; done

test-schedules: $(READY) ## 10,000 schedules of crashes, lost answers, zombies and accidents against the real ledger (an hour)
	SCHEDULES=10000 $(BIN)/pytest -q -s tests/schedules

test-matrix: $(READY) ## the inner ring on every Python 3.10 to 3.13 that is found
	tests/matrix $(BIN)/uv

test-writers: $(READY) ## 100,000 messages, rows and calls through promotions and rollbacks, killed at every boundary (minutes)
	$(BIN)/python -m tests.writers.storm

check: $(READY) ## lint, format, types, and that the made pages are up to date
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python docs/make.py --check

format: $(READY) ## format the code and write the made pages
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/python docs/make.py

docs: $(READY) ## write the pages that are made from the code
	$(BIN)/python docs/make.py

capabilities: $(READY) ## measure what each pointer promises and write docs/pointers.md's table
	$(BIN)/pytest -q tests/contract --capabilities docs/capabilities.json
	@$(BIN)/python docs/make.py

bench-flip: $(READY) ## one JSON line a pointer: flips, reads, failed, neither, mixed, ratio to a bare write
	@$(BIN)/python bench/bench_flip.py
	@$(BIN)/python bench/bench_alb.py

bench-fence: $(READY) ## one JSON line: effects/s, p50 and p95 of an effect, fenced and bare, in PostgreSQL, Redis, DynamoDB
	@$(BIN)/python bench/bench_fence.py

bench-ttr: $(READY) ## one JSON line: 30 rollbacks on a real scheduler, part by part, beside chains of empty tasks (10 minutes)
	@$(BIN)/python bench/bench_ttr.py

test-crash: $(READY) ## kill everything at every side effect under a real Airflow, and write docs/crash.md's table (20 minutes; CELLS="worker or database")
	$(BIN)/pytest -q -s tests/crash --crash docs/crash.json -k "$(CELLS)"
	@$(BIN)/python docs/make.py

bench-judge: $(READY) ## one JSON line: a million evidence rows against all rules, beside numpy's floor and pandas
	@$(BIN)/python bench/bench_judge.py

bench-peers: $(READY) ## one JSON line a cell and method: simulated holds judged by our rules and by the ways of others (minutes)
	@$(BIN)/python bench/bench_peers.py $(if $(RECORD),--record $(RECORD))

bench-review: $(READY) ## one JSON line: the review page with 10,000 runs and with 200,000 evidence rows, beside a bare page
	@$(BIN)/python bench/bench_review.py

bench-mapping: $(READY) ## one JSON line a recorded shape: milliseconds from an answer's JSON to the typed reply, beside json.loads
	@$(BIN)/python bench/bench_mapping.py

bench-verify: $(READY) ## one JSON line a store and size: what verify asks under the freeze, the whole proof before it, its memory
	@$(BIN)/python bench/bench_verify.py

bench-build: $(READY) ## one JSON line: an index build, killed and resumed, beside one bare COPY; does its memory grow
	@$(BIN)/python bench/bench_build.py

simulate-hold: $(READY) ## how often the hold stops a good Green, how soon a bad one: the table of docs/rules/hold.md
	@$(BIN)/python bench/simulate_hold.py
	@$(BIN)/python bench/simulate_signals.py

lock: ## resolve requirements*.txt again, for every supported Python at once
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' requirements.txt -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' -c requirements.lock requirements-dev.txt -o requirements-dev.lock

clean: ## remove everything that was made
	rm -rf $(VENV) .servers .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis evidence
