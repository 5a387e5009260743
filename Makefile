# The commands of the README; each makes what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install -qq --disable-pip-version-check

# Left behind by an installation that went through; a changed pyproject.toml installs again.
READY     := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

# Programs that tests start for real, and the Debian packages that bring them.
LATEX  := texlive-latex-recommended texlive-pictures texlive-fonts-recommended texlive-lang-german lmodern poppler-utils
SYSTEM := postgresql chromium gcc libc6-dev $(LATEX)

# Passwords of docker/compose.yaml, which a container reads whatever its user: their folder keeps everybody else out.
SECRETS := $(addprefix docker/secrets/,database_password dashboard_password dashboard_token)
DOCKER  ?= docker

.PHONY: help install quickstart test check audit faults bench gpu docker docker-images docker-check system clean
.DELETE_ON_ERROR:

help:
	@echo "make quickstart   a Pareto front from real trainings on Fashion-MNIST, in minutes, on whatever is here"
	@echo "                  (CPU=1 for one CPU slot, TRIALS=3 for three trials)"
	@echo "make test         all tests, with the system packages that they need"
	@echo "make check        lint, types, import rules"
	@echo "make faults       kills launches, Workers and databases, and counts what is lost (ARGS='--seed 2 --kills 80')"
	@echo "make audit        known vulnerabilities of what is installed, where the package index tells of them"
	@echo "make bench        the engine against what a user would write, row by row (half an hour; ROWS='images overhead')"
	@echo "make gpu          the tests and the benchmark that need a GPU"
	@echo "make docker       the images paretosearch:cpu and paretosearch:cuda, and passwords for docker/compose.yaml"
	@echo "                  (TORCH_INDEX=URL takes the cpu image's torch from another package index)"

install: $(READY)

$(VENV):
	$(PYTHON) -m venv $@

$(READY): pyproject.toml | $(VENV)
	@echo "Installing into $(VENV); torch is large, this takes a minute or two ..."
	@$(PIP) --editable .
	@touch $@

$(READY_DEV): pyproject.toml | $(VENV)
	$(PIP) --editable '.[dev,postgres]'
	@touch $@ $(READY)

quickstart: $(READY)
	$(BIN)/paretosearch launch quickstart $(if $(CPU),--cpu $(CPU)) $(if $(TRIALS),--trials $(TRIALS))
	$(BIN)/paretosearch export quickstart --out front
	@echo
	@echo "See the study in optuna-dashboard:  $(BIN)/paretosearch dashboard"

# Root gets what is missing by apt; anybody else is told by the tests themselves what they skip.
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(SYSTEM) >/dev/null 2>&1; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(SYSTEM) >/dev/null; \
	fi

test: $(READY_DEV) system
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: $(READY_DEV)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(READY_DEV) system
	$(BIN)/pytest -m faults -n 2 tests/faults -q $(ARGS)

# Strict: what the index tells nothing about is a failure, or a mirror that never tells would look like good news.
audit: $(READY_DEV)
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install -qq --disable-pip-version-check pip-audit
	$(BIN)/pip --disable-pip-version-check freeze --exclude-editable > $(VENV)-audit/installed.txt
	$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r $(VENV)-audit/installed.txt

bench: $(READY_DEV)
	$(BIN)/paretosearch data fetch fashion-mnist
	$(BIN)/python -m benchmarks.bench $(if $(ROWS),--rows $(ROWS))

gpu: $(READY_DEV)
	$(BIN)/pytest -m gpu $(ARGS)
	$(BIN)/paretosearch data fetch fashion-mnist
	$(BIN)/python -m benchmarks.gpu

docker:
	@if $(DOCKER) info >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory docker-images; \
	else \
	  echo "'$(DOCKER) info' reaches no engine, so no image was built; start Docker, or install it, and try again" \
	    "(make docker-check needs none)" >&2; \
	  exit 1; \
	fi

docker-images: $(SECRETS)
	DOCKER_BUILDKIT=1 $(DOCKER) build --file docker/Dockerfile --target cpu --tag paretosearch:cpu \
	  --build-arg TORCH_INDEX='$(TORCH_INDEX)' .
	DOCKER_BUILDKIT=1 $(DOCKER) build --file docker/Dockerfile --target cuda --tag paretosearch:cuda .

docker-check: $(READY_DEV) system
	$(BIN)/pytest tests/docker $(ARGS)

$(SECRETS):
	@mkdir -p -m 700 $(@D)
	@od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >$@ && chmod 444 $@

clean:
	rm -rf $(VENV) $(VENV)-audit front paretosearch.db*
