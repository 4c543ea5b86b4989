# Every target sets up .venv by itself, from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.seqcast-installed

.PHONY: demo test check speed accuracy clean

demo: $(INSTALLED)  ## the main job: leaderboards on co2 and stocks, forecasts and a picture in demo/
	$(BIN)/python benchmarks/demo.py

test: $(INSTALLED)  ## every test, doctests and notebooks included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: $(INSTALLED)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

speed: $(INSTALLED)  ## the table of speed ratios
	$(BIN)/python benchmarks/speed.py

accuracy: $(INSTALLED)  ## published protocols, shifted back in time; --part test for the published numbers
	$(BIN)/python benchmarks/accuracy.py

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist demo *.egg-info
