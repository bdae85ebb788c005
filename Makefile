# The two commands of the README. Both make .venv and install what they need; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/demo
	$(BIN)/jaxcolor colorize examples/ -o examples/colour/ --overwrite
	@echo "The colourized photos are in $(CURDIR)/examples/colour/"

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

clean:
	rm -rf .venv examples/colour

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/test: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14) and "make test needs Python 3.11 to 3.13, for later ones there is no TensorFlow yet: make test PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
