# Two commands: `make` (set up and run the reference study) and `make test`. `make help` lists all.
SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := reproduce

PYTHON ?= python3
CORES ?= all
CONFIG ?= config.yaml
CLUSTER =
SEEDS ?= 10
TREES ?= 0
REPLICATIONS ?= 200
FORESTS ?= 40
EXPERIMENTS ?= 2000
PEOPLE ?= 1000000
MINUTES ?= inf
LATEX ?= pdflatex
BIN := .venv/bin
CLUSTERS := slurm kubernetes
PIN := --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
# No module of the folder of a study is imported (the command does the same for its jobs).
export PYTHONSAFEPATH := 1
KNOWN_TRUTH := tests:tests/benchmark:tests/validation
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONHASHSEED=0
LIBRARY := workflow/nanotarget workflow/scripts tests

.PHONY: all reproduce check calibrate diagnose assign estimate explore disclose report paper deposit validate-deposit runtimes panel simulate verify verify-reference reference test test-long test-slurm test-faults fuzz benchmark benchmark-roster proposals recovery validate validate-surveys validate-answers validate-designs pictures docs lint format lock slurm kubernetes clean help

# `nanotarget --help` lists the same targets in the same words (a test holds them together).
#: all: everything that the data allow
#: check: config and raw data, in seconds
#: calibrate: what moves people: AMCEs, marginal means, the learner
#: diagnose: can nano-targeting pay?
#: assign: who gets which petition
#: estimate: what the arms of the experiment did
#: explore: effects by subgroup
#: report: figures, tables and the report
#: disclose: does what is published tell about few people?
reproduce: all
all check calibrate diagnose assign estimate explore disclose report: .venv/ready $(addprefix .venv/,$(filter $(CLUSTERS),$(CLUSTER)))
	@$(BIN)/nanotarget $@ "$(CONFIG)" --cores $(CORES) $(if $(CLUSTER),--cluster "$(CLUSTER)")

paper: report ## Compile the skeleton of CONFIG's paper into papers/<study>/ (LATEX=xelatex for another engine)
	@$(BIN)/python workflow/scripts/typeset.py "$(CONFIG)" "$(LATEX)"

deposit: report ## Package CONFIG for an archive: deposits/<study> and its zip, if nothing is open
	@$(BIN)/nanotarget deposit "$(CONFIG)"

validate-deposit: ## Hold the crate of CONFIG's deposit to its profiles (installs roc-validator into .venv-crate)
	@test -x .venv-crate/bin/rocrate-validator || { $(PYTHON) -m venv .venv-crate && \
		.venv-crate/bin/pip install --quiet --disable-pip-version-check roc-validator; }
	@study=$$(sed -n 's/^study: *\([^ ]*\).*/\1/p' "$(CONFIG)"); .venv-crate/bin/rocrate-validator --no-interactive \
		validate --profile-identifier provenance-run-crate "deposits/$$study"

runtimes: .venv/ready ## Keep what each rule of CONFIG's last run cost (data/<study>/runtimes.csv), for its deposit
	@$(BIN)/python workflow/scripts/runtimes.py "$(CONFIG)"

panel: .venv/ready ## Run the second simulated study, in which the same people come back
	@$(BIN)/nanotarget all config_panel.yaml --cores $(CORES)

#: simulate: simulated raw data of a study
simulate: .venv/ready
	@$(BIN)/nanotarget simulate "$(CONFIG)" --cores $(CORES)
	@study=$$(sed -n 's/^study: *\([^ ]*\).*/\1/p' "$(CONFIG)"); cd "results/$$study/simulated" && for file in *; do \
		cmp -s $$file "../../../data/$$study/$$file" || cp $$file "../../../data/$$study/$$file"; done && \
		git diff --stat -- "../../../data/$$study"

verify: .venv/ready ## Say which artefacts of CONFIG no longer match their manifest
	@$(BIN)/python workflow/scripts/verify.py "$(CONFIG)"

verify-reference: .venv/ready ## Say whether the results of CONFIG are those that data/<study>/reference_manifest.json records
	@$(BIN)/python workflow/scripts/verify_reference.py "$(CONFIG)"

reference: reproduce ## Run CONFIG and record its checksums and numbers as those of the reference run
	@$(BIN)/python workflow/scripts/verify_reference.py "$(CONFIG)" --record

test: .venv/ready ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 15

test-long: .venv/ready ## Run the tests that take minutes: learners from raw files to the verdict, 64,000 people, kills
	@$(BIN)/python -m pytest -n 2 -m long --durations 15

test-slurm: .venv/ready .venv/slurm ## Run studies on a Slurm that is started for it (root; docs/cluster.md; minutes)
	@NANOTARGET_SLURM=1 $(BIN)/python -m pytest -s -m long tests/slurm

test-faults: .venv/ready ## Kill runs, one at every rule, fill a disk (root) and cut a shard, and compare the bytes (many minutes)
	@$(BIN)/python -m pytest -s -m long tests/workflow/test_kills.py tests/workflow/test_full_disk.py tests/workflow/test_runs.py

fuzz: .venv/ready ## Read 20,000 spoiled inputs of each of five kinds (hours)
	@NANOTARGET_FUZZ=20000 $(BIN)/python -m pytest -q tests/workflow/test_fuzz.py

benchmark: .venv/ready ## Measure exact scoring, individual effects, diagnosis and redraws (minutes)
	@PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/scoring.py
	@PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/randomization.py
	@PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/diagnosis.py

benchmark-roster: .venv/ready ## Measure a roster of PEOPLE=1000000 synthetic people, from raw file to fielding export (minutes)
	@folder=$$(mktemp -d) && PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/roster.py \
		"$$folder/study" $(PEOPLE) 2; rm -rf "$$folder"

proposals: .venv/ready ## Measure what `nanotarget init` gets right (docs/proposals.md; needs NANOTARGET_REFERENCE)
	@PYTHONPATH=tests $(BIN)/python tests/proposals.py

recovery: .venv/ready ## Show what each learner recovers of known truth (docs/recovery.md; an hour of CPU, resumable)
	@$(ONE_THREAD) PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/recovery.py --seeds $(SEEDS) --trees $(TREES)
	@PYTHONPATH=tests:tests/benchmark $(BIN)/python tests/benchmark/recovery.py --summary

validate: .venv/ready ## Add replications to the proof of the diagnosis (docs/validation.md; hours, resumable)
	@$(ONE_THREAD) PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/run.py --cores $(CORES) \
		--replications $(REPLICATIONS) --forests $(FORESTS) --minutes $(MINUTES)
	@PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python -m snakemake --snakefile tests/validation/Snakefile --cores $(CORES)
	@PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/summary.py

validate-surveys: .venv/ready ## Count clean surveys that the design checks flag (docs/validation_surveys.md; ten minutes)
	@$(ONE_THREAD) PYTHONPATH=tests:tests/validation $(BIN)/python tests/validation/surveys.py

validate-answers: .venv/ready ## Corrections for response error and tests of attributes in simulated surveys (docs/validation_answers.md; an hour)
	@$(ONE_THREAD) PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/attribute_tests.py
	@$(ONE_THREAD) PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/response_error.py

validate-designs: .venv/ready ## Add to the proof of every estimator in six designs (docs/validation_experiment.md; resumable)
	@$(ONE_THREAD) PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/design_tables.py \
		--replications $(EXPERIMENTS) --minutes $(MINUTES)
	@$(ONE_THREAD) PYTHONPATH=$(KNOWN_TRUTH) $(BIN)/python tests/validation/design_tables.py --summary

pictures: .venv/ready ## Take the pictures in README.md anew from the results of the reference study (needs Chromium)
	@$(BIN)/python workflow/scripts/pictures.py

docs: .venv/ready ## Write the documents that follow from models and rules (docs/config.md, docs/figures.md, ...)
	@$(BIN)/python workflow/scripts/docs.py

lint: .venv/ready ## Check format, style, types and workflow
	@$(BIN)/ruff format --check $(LIBRARY)
	@$(BIN)/ruff check $(LIBRARY)
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile workflow/rules tests/validation/Snakefile
	@$(BIN)/python -m snakemake --lint

format: .venv/ready ## Format code and workflow
	@$(BIN)/ruff format $(LIBRARY)
	@$(BIN)/ruff check --fix $(LIBRARY)
	@$(BIN)/snakefmt Snakefile workflow/rules tests/validation/Snakefile

lock: ## Pin all dependencies anew (needs uv)
	uv pip compile $(PIN) --extra dev pyproject.toml -o requirements.lock
	for cluster in $(CLUSTERS); do uv pip compile $(PIN) --extra $$cluster --constraint requirements.lock \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock) \
		pyproject.toml -o requirements-$$cluster.lock || exit; done

slurm kubernetes: %: .venv/% ## Install what submits jobs there (make CLUSTER=slurm does it, too; docs/cluster.md)

clean: ## Remove results, logs and caches (not the environment)
	rm -rf results logs benchmarks .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis

help: ## Show this list
	@echo "Of a study (CONFIG=config.yaml, CORES=all; make alone is make all; or: nanotarget <target> CONFIG):"
	@sed -nE 's/^#: ([a-z]+): /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'
	@echo "Of the project:"
	@grep -hE '^[a-z][a-z -]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
		awk -F '\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'
	@echo "nanotarget --help adds what begins a study: init, example, describe."

# Byte-compiled at once, on all cores (pip takes one): otherwise every job of the first run pays seconds for its
# imports.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up the environment in .venv (once, about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib workflow/nanotarget >/dev/null || true
	@touch $@

# Beside the lock of all: who runs on one machine needs none of it, and the client of Kubernetes is large.
$(addprefix .venv/,$(CLUSTERS)): .venv/%: requirements-%.lock .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@
