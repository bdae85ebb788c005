# Each rule makes .venv and installs what it needs; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs static clean

demo: .venv/demo
	$(BIN)/jaxcolor colorize examples/ -o examples/colour/ --overwrite
	@echo "The colourized photos are in $(CURDIR)/examples/colour/"

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest
	$(BIN)/pytest -m ray -n 0 tests/archive

# The site of docs/, in docs/_build/html: warnings are errors, notebooks are run, links are followed.
docs: .venv/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python scripts/check_site.py docs/_build/html

# A page that needs no server, in build/static; WEIGHTS=FILE has it colour with yours. Needs npm.
static: .venv/static
	$(BIN)/python scripts/static_page.py -o build/static $(if $(WEIGHTS),--weights $(WEIGHTS))

clean:
	rm -rf .venv examples/colour docs/_build build/static web-static/node_modules

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/static: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[web,export]'
	touch $@

.venv/test: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14) and "make test needs Python 3.11 to 3.13, for later ones there is no TensorFlow yet: make test PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

.venv/docs: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@
