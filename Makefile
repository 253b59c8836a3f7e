# Two commands do everything on a fresh machine: make quickstart, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
WEB := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
# What is built last.
STATIC := src/sightline/server/static/embed/index.html
# A file's tests stay together, since they share what they make. Chromium uses both cores by itself.
PARALLEL := -n 2 --dist loadfile
export SIGHTLINE_SHARED ?= ../shared
export SIGHTLINE_MODELS ?= $(wildcard $(SIGHTLINE_SHARED)/models)

.PHONY: quickstart test check lint web browser lock clean

quickstart: $(VENV)/.train $(STATIC)  ## draw, train, evaluate, open the live page
	$(BIN)/sightline quickstart $(if $(CI),--no-serve)

test: $(VENV)/.dev $(STATIC) browser lint  ## everything, the browser included
	$(BIN)/python hatch_build.py npm run check
	$(BIN)/python hatch_build.py npm test
	$(BIN)/python -m pytest --ignore tests/browser $(PARALLEL)
	$(BIN)/python -m pytest tests/browser  # of its own: Playwright keeps an event loop running

check: $(VENV)/.dev lint  ## the fast loop: lint, types, quick tests
	$(BIN)/python -m pytest -q -m "not slow and not browser" $(PARALLEL)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks tools hatch_build.py
	$(BIN)/ruff format --check src tests benchmarks tools hatch_build.py
	$(BIN)/mypy
	$(BIN)/lint-imports

web: $(STATIC)  ## the page and the browser runtime

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"

$(VENV)/.train: pyproject.toml requirements/lock.txt | $(VENV)/bin/python
	$(PIP) --constraint requirements/lock.txt --editable ".[train]"
	touch $@

$(VENV)/.dev: pyproject.toml requirements/lock.txt | $(VENV)/bin/python
	$(PIP) --constraint requirements/lock.txt --editable ".[train,tensorflow,browser,webrtc]" --group dev
	touch $@ $(VENV)/.train

$(STATIC): $(WEB) | $(VENV)/bin/python
	$(BIN)/python hatch_build.py

browser:  ## Chromium, from the system's packages where they are missing
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || test -n "$$SIGHTLINE_BROWSER" \
	  || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } \
	  || { echo "install Chromium (apt-get install chromium), or set SIGHTLINE_BROWSER"; exit 1; }

lock: $(VENV)/.dev  ## write requirements/lock.txt from what is installed
	{ head -1 requirements/lock.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > $(VENV)/lock.txt
	mv $(VENV)/lock.txt requirements/lock.txt

clean:
	rm -rf $(VENV) web/node_modules src/sightline/server/static

# What takes long; the figures stand in docs/benchmarks.md.
.PHONY: bench-graph bench-exports bench-train bench-page bench-server bench-quickstart bench-install bench-data fuzz
bench-graph: $(VENV)/.dev  ## our graph beside the official one
	$(BIN)/python benchmarks/graph.py
bench-exports: $(VENV)/.dev $(STATIC) browser  ## every artefact in every runtime
	$(BIN)/python benchmarks/exports.py deimv2-atto $(SIGHTLINE_SHARED)/data/coco_val100 --split all
	$(BIN)/python benchmarks/exports.py deimv2-femto $(SIGHTLINE_SHARED)/data/coco_val100 --split all
bench-train: $(VENV)/.dev  ## full trainings on three real data sets
	$(BIN)/python benchmarks/train.py
bench-page: $(VENV)/.dev $(STATIC) browser  ## the live page in headless Chromium: speed, beside the 2021 article, 10,000 frames
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/browser_article.py
	$(BIN)/python benchmarks/browser_soak.py
bench-server: $(VENV)/.dev  ## the live server: throughput, latency over 10 minutes, 8 peers, 1,000 disconnects
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/streams.py latency --minutes 10
	$(BIN)/python benchmarks/streams.py peers
	$(BIN)/python benchmarks/streams.py churn
bench-quickstart: $(VENV)/.dev  ## the quickstart as a user runs it, from nothing
	rm -rf $(VENV)/quickstart
	bash -c 'time $(BIN)/sightline quickstart $(VENV)/quickstart --no-serve'
bench-data: $(VENV)/.dev  ## reading 100,000 images' annotations; TFRecord beside its floors
	$(BIN)/python benchmarks/data_sets.py
	$(BIN)/python benchmarks/tfrecord.py
bench-install: $(VENV)/.dev  ## sizes of wheel and installations
	$(BIN)/python benchmarks/install_size.py
fuzz: $(VENV)/bin/python  ## every reader on damaged files, coverage-guided, in an environment of its own
	$(PYTHON) -m venv $(VENV)/fuzz
	$(VENV)/fuzz/bin/python -m pip install --quiet --constraint requirements/lock.txt --editable . atheris
	$(VENV)/fuzz/bin/python tools/fuzz.py
