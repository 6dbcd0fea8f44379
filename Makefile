# NEWSS: `make demo` shows it, `make test` tests it, `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
SITE_PORT ?= 8700
JOBS ?= 2
PEERS := scrapy newspaper4k newsplease fundus
export PORT SITE_PORT
# Where it is set, each of the many processes that the tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: messages bench-collecting bench-pages bench-scheduling help demo run install install-dev test test-long chaos check screenshots format lock clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: install  ## set up and show the main job: sample news site, web, scheduler (PORT=8000)
	@$(BIN)/python -m newss_project.demo

run: install  ## the same without the sample site, for real sources; settings in .env
	@$(BIN)/python -m newss_project.demo --real

install: $(VENV)/installed  ## make the virtual environment with what NEWSS needs

install-dev: $(VENV)/installed-dev  ## the same with what developing needs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "make: NEWSS needs Python 3.11 or later as $(PYTHON); name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# pip before 24 stumbles over two spellings of one extra (lxml[html_clean] and lxml[html-clean]).
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24"

$(VENV)/installed: requirements.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@ $(VENV)/installed

test: install-dev  ## the tests, on SQLite and on a PostgreSQL that they start; under 6 minutes
	@$(BIN)/python -m tests.legs "not long" $(JOBS)

test-long: install-dev  ## everything at length
	$(BIN)/python -m pytest -n $(JOBS) --hypothesis-profile=long
	$(BIN)/python -m tests.postgres $(BIN)/python -m pytest -n $(JOBS) --hypothesis-profile=long -m "not anydb"

chaos: install-dev  ## kill, stop and cut off schedulers on both databases, and prove that nothing is lost (some 20 min)
	$(BIN)/python -m tests.chaos.driver

check: install-dev  ## lint, format, types, templates, imports, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy scheduling scrapers newss_project
	$(BIN)/djlint --check --lint --quiet newss_project scheduling scrapers
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
		NEWSS_ENV_FILE=/dev/null DEBUG=off ALLOWED_HOSTS=news.example.org NEWSS_CONTACT=mailto:news@example.org \
		DATABASE_URL=sqlite:////tmp/newss-check.sqlite3 \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

screenshots: install-dev  ## take the README's pictures anew, from a demo of their own (needs Chromium)
	$(BIN)/python docs/screenshots.py

bench-pages: install-dev  ## time the admin's pages with 1,000,000 runs and 2,000,000 articles in PostgreSQL
	$(BIN)/python -W ignore -m benchmarks.pages

bench-scheduling: install-dev .venv-bench/installed  ## measure the engine beside its peers; BENCH=--quick for a short form
	$(BIN)/python -W ignore -m benchmarks.scheduling --peers .venv-bench/bin/python $(BENCH)

bench-collecting: install-dev $(PEERS:%=peer-%)  ## measure collecting beside Scrapy and others; BENCH=--quick for a short form
	$(BIN)/python -W ignore -m benchmarks.collecting $(BENCH)

# Each in an environment of its own, since they want different versions of the same; one that cannot be had is left out.
peer-%: benchmarks/requirements-%.txt
	@test .venv-bench/$*/installed -nt $< || { \
		rm -f .venv-bench/$*/installed && $(PYTHON) -m venv .venv-bench/$* \
		&& .venv-bench/$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24" \
		&& .venv-bench/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $< \
		&& touch .venv-bench/$*/installed; } || echo "make: $* cannot be installed here; it is left out" >&2

.venv-bench/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

format: install-dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet newss_project scheduling scrapers

messages: install-dev  ## collect the words to translate into locale/, and compile the translations (needs gettext)
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemessages --locale de --add-location file --no-wrap \
		--no-obsolete --ignore "tests/*" --ignore "benchmarks/*" --ignore "docs/*" --ignore ".venv*"
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py compilemessages --ignore ".venv*"

lock: install-dev  ## write the installed versions into constraints.txt, after `make test` passed on them
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:  ## remove the virtual environment and what the demo stored
	rm -rf $(VENV) var staticfiles
