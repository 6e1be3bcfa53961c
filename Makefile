# Every command that people and CI use. `make` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
ENGINE := .venvs/engine
GX := .venvs/gx
PEERS := polars duckdb dlt ingestr sling
UV_VERSION := 0.13.9
INSTALL := $(UV) pip install --quiet --compile-bytecode
WORKERS ?= 4
ACTIONLINT := GOFLAGS=-mod=mod go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# Services and engines start by the hundred: none of them compiles its imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up down gen fmt lint types test stories check breaking lock bench bench-quick bench-clean errors-doc journal-doc journals fuzz faults faults-mutants failover gx gx-check

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 18

setup: $(VENV)/.done $(ENGINE)/.done ## Make both environments; quick when nothing changed

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit(f"found Python {v[0]}.{v[1]}; allowed is 3.11 or newer: make setup PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.done: requirements.lock pyproject.toml | $(VENV)/bin/uv
	$(INSTALL) --python $(BIN)/python --require-hashes -r requirements.lock
	$(INSTALL) --python $(BIN)/python --no-deps -e .
	@touch $@

$(ENGINE)/.done: libs/local/engine/requirements.lock | $(VENV)/bin/uv
	$(UV) venv --quiet --allow-existing --python $(BIN)/python $(ENGINE)
	$(INSTALL) --python $(ENGINE)/bin/python --require-hashes -r $<
	@touch $@

$(GX)/.done: tests/gx/requirements.lock | $(VENV)/bin/uv
	$(UV) venv --quiet --allow-existing --python $(BIN)/python $(GX)
	$(INSTALL) --python $(GX)/bin/python --require-hashes -r $<
	@touch $@

.venvs/bench-%/.done: bench/peers/%.lock | $(VENV)/bin/uv
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venvs/bench-$*
	$(INSTALL) --python .venvs/bench-$*/bin/python --require-hashes -r $<
	@touch $@

demo: setup ## Two tenants' data through the whole mesh; BILL=path takes another bill
	@$(BIN)/python -m libs.local.demo $(if $(BILL),--bill $(BILL))

up: setup ## Start the mesh on this machine; DEV=1 restarts a service when its code changes
	@$(BIN)/convergence local up --detach $(if $(DEV),--dev)

down: setup ## Stop it
	@$(BIN)/convergence local down

gen: setup ## Generate gen/ from protos/
	@$(BIN)/python tools/gen.py

errors-doc: setup ## Write docs/errors.md from error_reason.proto
	@$(BIN)/python tools/errors_doc.py

journal-doc: setup ## Write the table of docs/journal.md from the records
	@$(BIN)/python tools/journal_doc.py

.PHONY: chart chart-readme chart-schemas
chart: setup ## Render the chart for every combination of values, and hold it to schemas and policies
	$(BIN)/python tools/chart_readme.py --check
	$(BIN)/python -m pytest -q tests/chart

chart-readme: setup ## Write the chart's README from its values.yaml
	@$(BIN)/python tools/chart_readme.py

chart-schemas: setup ## Take the schemas of Kubernetes anew, of the versions that tools/kubernetes_schemas.py names; needs Go
	@$(BIN)/python tools/kubernetes_schemas.py

journals: setup journal-doc ## Keep journals as the records of this version are written, below tests/data/journals
	PYTHONPATH=.:gen $(BIN)/python -m tests.unit.orchestrator.journals.record

fmt: setup ## Format Python and protos
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/buf format -w

lint: setup ## ruff, buf, import contracts, and that generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/buf lint
	$(BIN)/buf format -d --exit-code
	PYTHONPATH=.:gen $(BIN)/lint-imports --no-cache
	$(BIN)/python tools/gen.py --check
	$(BIN)/python tools/errors_doc.py --check
	$(BIN)/python tools/journal_doc.py --check
	$(BIN)/python tools/chart_readme.py --check
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.cloudbuild cloudbuild.yaml
	@command -v go >/dev/null && $(ACTIONLINT) .github/workflows/*.yml || { [ -z "$$(command -v go)" ] && echo "actionlint was left out: it is built with Go, which is not there"; }

types: setup ## mypy, strict
	$(BIN)/mypy libs services tests bench tools

test: setup ## Every test, in WORKERS (4) processes: on two processors, as half of them wait
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q

.PHONY: cloud
cloud: setup ## Check on Google's BigQuery what is believed of it, in a dataset of PROJECT and LOCATION that is deleted
	@$(BIN)/python -m tests.cloud --project "$(PROJECT)" --location "$(LOCATION)"

.PHONY: properties
properties: setup ## Try every property with EXAMPLES (10) times as many examples as make test
	EXAMPLES=$(or $(EXAMPLES),10) $(BIN)/python -m pytest -q -n 2 -m hypothesis tests/unit

MINUTES ?= 10
fuzz: setup ## Fuzz the readers and the config parser for MINUTES (10), from SEED or a new one
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

stories: setup ## Tell more stories of runs against the model; STORIES=20000 says how many
	STORIES=$(or $(STORIES),5000) $(BIN)/python -m pytest -q -n 2 tests/unit/orchestrator/model tests/integration/orchestrator/test_stories.py

faults: setup ## Faults to real processes for MINUTES (30), then a check of what was seen; SEED, SCALE=2 on a slow machine, MUTANT=name must fail
	$(BIN)/python -m tests.faults $(if $(filter file,$(origin MINUTES)),,--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(SCALE),--scale $(SCALE)) $(if $(MUTANT),--mutant $(MUTANT))

faults-mutants: setup ## That each planted bug is found by real processes
	$(BIN)/python -m tests.faults.gate $(if $(SCALE),--scale $(SCALE))

.PHONY: sim sim-mutants model model-mutants
sim: setup ## Orchestrators on virtual time while everything fails: SEEDS=10000 FROM=1, or SEED=123 step by step
	@$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000) --first $(or $(FROM),1))

sim-mutants: setup ## That the simulation finds planted bugs; ONLY=lock some of them
	@$(BIN)/python -m tests.sim --mutants $(if $(ONLY),--only "$(ONLY)")

model: setup ## Every placement of up to FAULTS=2 faults in small worlds of orchestrators
	@$(BIN)/python -m tests.model --faults $(or $(FAULTS),2)

model-mutants: setup ## That such placements find planted bugs; ONLY=lock some of them
	@$(BIN)/python -m tests.model --mutants $(if $(ONLY),--only "$(ONLY)")

failover: setup ## How long runs stand still when an orchestrator dies, and what a leader that slept can do
	$(BIN)/python -m tests.faults.failover

.PHONY: scaling
scaling: setup ## Take workers away in the middle of runs and bring them back: rows exact, and how soon they have a chunk
	$(BIN)/python -m tests.faults.scaling

gx: $(GX)/.done ## Record anew what Great Expectations says
	$(GX)/bin/python -m tests.gx.record

gx-check: $(GX)/.done ## That the recording is what Great Expectations says
	$(GX)/bin/python -m tests.gx.record --check

check: lint types test ## What CI requires

breaking: setup ## That the protos break nobody who uses those of the main branch
	$(BIN)/buf breaking --against '.git#branch=main'

lock: $(VENV)/bin/uv ## Resolve all lock files anew: names, versions, hashes
	$(UV) pip compile --quiet --python-version 3.11 --extra dev --extra local --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --constraint requirements.lock -o deploy/requirements.lock pyproject.toml
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o libs/local/engine/requirements.lock libs/local/engine/requirements.in
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o tests/gx/requirements.lock tests/gx/requirements.in
	for peer in $(PEERS); do $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o bench/peers/$$peer.lock bench/peers/$$peer.in || exit 1; done

bench: setup ## Measure all that README.md and docs/performance.md state, about an hour; ONLY=worker,… measures a part
	$(BIN)/python -m bench.performance $(if $(ONLY),--only $(ONLY))

bench-quick: setup ## The main ratios on small data, 5 minutes; the last line has them
	$(BIN)/python -m bench.performance --quick $(if $(ONLY),--only $(ONLY))

bench-clean: ## Delete the generated data, up to 40 GB
	rm -rf .bench

# The test cluster and the image: tools/cluster/README.md, docs/kubernetes.md.
CLUSTER := $(BIN)/python -m tools.cluster
CLUSTER_PACKAGES := containerd runc containernetworking-plugins iptables nftables conntrack iproute2 debootstrap buildah

.PHONY: tools cluster-packages cluster-build cluster-up cluster-down
tools: setup ## Build helm, kubectl and grpcurl with Go: about 3 minutes once, then nothing
	@$(CLUSTER) build helm kubectl grpcurl

cluster-packages: ## Install Debian's packages for the test cluster and the image; as root
	@dpkg-query --show $(CLUSTER_PACKAGES) >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(CLUSTER_PACKAGES); }

cluster-build: setup cluster-packages ## Build the test cluster's programs from source: about 10 minutes once, then nothing
	@$(CLUSTER) build

cluster-up: cluster-build ## Start a Kubernetes of one node on this machine
	@$(CLUSTER) up

cluster-down: setup ## Stop it and remove all that it left
	@$(CLUSTER) down

.PHONY: cluster-test cluster-slice
cluster-test: setup cluster-packages ## Build what is missing, start a cluster, install the chart and prove what is promised; ONLY="install policies", MINUTES=10
	@MINUTES=$(MINUTES) $(BIN)/python -m tests.cluster $(ONLY)

cluster-slice: setup ## Of cluster-test: install, helm test, one disturbance; nothing where the cluster is not built
	@$(BIN)/python -m tests.cluster --slice

.PHONY: image
image: setup cluster-packages ## Build the images with buildah, try them and measure them; BASE=debian where no registry is reachable
	@$(BIN)/python -m tools.image $(if $(BASE),--base $(BASE)) $(if $(TAG),--tag $(TAG))
