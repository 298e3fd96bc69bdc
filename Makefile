# What the README and CI call. Everything that is downloaded or built is cached below the user's cache directory.
SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kubevirt-binding-conformance
VENV := $(CACHE)/venv/$(shell { pwd; cat pyproject.toml; } | sha256sum | cut -c1-16)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BINDING ?= managedtap passt
OUT ?= out
PYTEST := $(BIN)/pytest -p no:binding_conformance

.PHONY: certify test guests mutants providers lint bench fidelity doctor venv clean

certify: $(READY)  ## certify BINDING (a bundled name or a definition's path; several allowed) on the sandbox
	@$(BIN)/binding-conformance doctor --install
	@$(BIN)/binding-conformance run $(BINDING) --report-dir $(OUT)/certify

test: $(READY)  ## install the rest and pass every test
	@$(BIN)/binding-conformance doctor --install
	@$(PYTEST) tests/unit tests/kind -n 2
	@$(PYTEST) tests/contract
	@$(PYTEST) tests/sandbox -n 2 --dist loadfile -m 'not slow'
	@$(PYTEST) tests/providers -m 'not slow'
	@$(PYTEST) tests/mutants -n 2 --maxschedchunk 1 -m 'not slow' -v

mutants: $(READY)  ## every mutant, the slow ones too (two hours)
	@$(PYTEST) tests/mutants -n 2 --maxschedchunk 1 -v

guests: $(READY)  ## build the Debian guests and test with them, and what each binding leaves behind (twenty minutes)
	@$(BIN)/binding-conformance doctor --install
	@$(PYTEST) tests/sandbox -m slow -v

providers: $(READY)  ## shards against the whole, closed namespaces, and the rights that are granted against those used (half an hour)
	@$(BIN)/binding-conformance doctor --install
	@$(PYTEST) tests/providers -m slow -v

lint: $(READY)  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY)  ## figures of speed and size
	@$(BIN)/binding-conformance doctor --install
	@$(BIN)/python -m tests.bench

fidelity: $(READY)  ## replay the recordings of a real KubeVirt on the sandbox and compare fact by fact
	@$(BIN)/binding-conformance doctor --install
	@$(BIN)/python -m tests.fidelity.run

doctor: $(READY)  ## say what this machine lacks
	@$(BIN)/binding-conformance doctor

venv: $(READY)

$(READY): pyproject.toml
	@echo "==> virtual environment in $(VENV)"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@mkdir -p $(VENV) && rm -rf $(VENV)/* && python3 -m venv $(VENV)
	@echo "==> Python packages"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:  ## remove what runs left in this directory (the cache stays)
	rm -rf $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
