# Everything a user or developer runs. On a fresh Debian 12 or 13 nothing but make has to be there: see `make help`.

SHELL := /bin/bash
PYTHON := /usr/bin/python3
# Another python3 may come first on PATH; packages are built and tested with Debian's own.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin
# The tests start hundreds of small processes: a fifth of all their time would go into compiling.
unexport PYTHONDONTWRITEBYTECODE

# Most tests wait, and so there are more workers than cores; those that share a host share a worker. Tests that hold moments wait
# nine tenths of their time: six of them leave more than half of two cores to whoever is late.
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider --dist loadgroup

RUNTIME := gettext python3 python3-docker python3-psutil python3-requests python3-systemd tzdata
BUILD := bash-completion build-essential debhelper dh-python fakeroot openssl python3-hypothesis \
	python3-pytest python3-pytest-timeout python3-pytest-xdist scdoc
REPOSITORY := gpg gpg-agent reprepro
TESTING := $(REPOSITORY) apprise busybox-static ca-certificates docker.io faketime git iproute2 lintian man-db mmdebstrap nodejs \
	libsqlite3-dev piuparts python3-aiosmtpd python3-pytest-rerunfailures python3-venv reprotest sqlite3 strace systemd-container uidmap valgrind

DEB = dist/heartbeatd_$(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)_all.deb

# What alerts in Spanish are told by.
CATALOG := heartbeatd/po/es/LC_MESSAGES/heartbeatd.mo
# Where `make repo` publishes.
REPO = dist/repo

.DEFAULT_GOAL := help
.PHONY: help run check test release-check lint format generate deb version install repo faults bench profile clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15

run: ## Run the agent here, in the foreground, with its own database in ./var; Ctrl-C ends it
	@tests/need $(RUNTIME)
	@mkdir -p -m 700 var && chmod go-rwx var
	@$(MAKE) --no-print-directory $(CATALOG)
	@umask 077; [ -e var/config.toml ] || sed 's|^\[storage\]$$|&\npath = "$(CURDIR)/var/metrics.db"|' etc/heartbeat/config.toml > var/config.toml
	@chmod go-rwx var/config.toml
	@echo "configuration: var/config.toml   database: var/metrics.db   Ctrl-C ends it"
	@umask 077; exec $(PYTHON) -m heartbeatd --config var/config.toml

test: ## Run every check: linters, unit, property and integration tests, package, repository, lintian, piuparts, booted systemd
	@tests/need $(RUNTIME) $(BUILD) $(TESTING)
	@$(MAKE) --no-print-directory lint
	$(PYTEST) -n 8 -m "not release and not timing"
	$(PYTEST) -n 6 -m timing

# Without what boots a Debian (tests/system) or is marked (pyproject.toml says what a marker means), and with fewer examples.
check: ## For every edit: linters, and the tests that boot nothing, start no engine, hold no moments and do not take long
	@tests/need $(RUNTIME) $(BUILD) $(TESTING)
	@$(MAKE) --no-print-directory lint
	$(PYTEST) -n 8 --hypothesis-profile=quick -m "not slow and not docker and not timing and not release" --ignore=tests/system

release-check: ## Before a release, what takes too long for every day: autopkgtest in full, piuparts from Debian 12 to 13, a real n8n (root)
	@tests/need $(RUNTIME) $(BUILD) $(TESTING)
	$(PYTEST) -m release

lint: .venv/installed ## Check style and types (ruff, mypy)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/installed ## Put the code into the project's style
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

generate: ## Write anew what follows from the code: config.toml, parts of the manual and the README, what is to be translated
	@tests/need $(RUNTIME)
	$(PYTHON) -m tests.project.generated --write
	tests/catalogs update

$(CATALOG): heartbeatd/po/es.po
	@tests/catalogs compile

deb: $(DEB) ## Build the package into dist/, unless the one there is up to date
	@echo $(DEB)

# Folders too, so that a file that was deleted counts.
$(DEB): $(shell find debian etc heartbeatd systemd tests pyproject.toml setup.cfg README.md -not -path '*/__pycache__*')
	@tests/need $(RUNTIME) $(BUILD)
	@tests/build-deb dist

version: ## Begin a new version, VERSION=1.2.3, in the changelog and in the code
	@tests/set-version $(VERSION)
	$(MAKE) generate

install: deb ## Build the package and install it here
	$$([ "$$(id -u)" = 0 ] || echo sudo) apt-get install -y --reinstall ./$(DEB)

# REPO_KEY= and REPO_URL= of the command line are in the environment of what is run here.
repo: deb ## Build the package and publish it in a signed apt repository: dist/repo, or REPO=FOLDER; also REPO_KEY=, REPO_URL=
	@tests/need $(REPOSITORY)
	tests/build-repo $(REPO) $(DEB)

faults: ## Inject every fault there is for real, at length, and print a table (root; half an hour)
	@tests/need $(RUNTIME) $(BUILD) $(TESTING)
	$(PYTHON) -m tests.faults

bench: ## Measure what debian/costs.md claims, beside Debian's monitoring agents, and write its table (root; half an hour)
	@[ "$$(id -u)" = 0 ] || { echo "make bench boots a Debian and starts a Docker engine: run it as root" >&2; exit 1; }
	@tests/need $(RUNTIME) $(BUILD) $(TESTING)
	$(PYTHON) -m tests.bench.peers --write debian/costs.md
	$(PYTHON) -m tests.bench.instructions
	$(PYTHON) -m tests.bench.imports
	$(PYTHON) -m tests.bench.growth
	$(PYTHON) -m tests.bench.crowd
	$(PYTHON) -m tests.bench.containers
	$(PYTHON) -m tests.bench.alerts
	$(PYTHON) -m tests.bench.alerts_installed

profile: ## Show where a cycle's instructions and CPU go
	@tests/need $(RUNTIME) openssl valgrind
	$(PYTHON) -m tests.bench.profile

clean: ## Remove what was built here (not var/)
	rm -rf dist build heartbeatd/po/*/ .venv .mypy_cache .ruff_cache .hypothesis *.egg-info
	find debian heartbeatd tests -name __pycache__ -prune -exec rm -r {} +

# Tools that Debian lacks or has too old, beside Debian's own libraries.
.venv/installed: tests/requirements.txt
	@tests/need $(RUNTIME) python3-venv python3-pytest python3-hypothesis
	$(PYTHON) -m venv --system-site-packages .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@
