# Two commands that work on a fresh machine: `make demo` (the filter on the CPU, no torch) and `make test` (everything).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint format licenses faults lowest clean

demo: .venv/demo.stamp
	$(BIN)/reaging-cam --source demo --sink demo.mp4 --age 70 --device cpu --stats .venv/demo-stats.json
	$(BIN)/python examples/demo_sheet.py demo.mp4 demo.png
	@echo "demo.mp4: the bundled clip at 70; demo.png: before | after"

test: .venv/test.stamp lint
	$(BIN)/python -m pytest

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r reaging runtime export benchmarks examples tools
	$(PIP) check

format: .venv/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: .venv/pyvenv.cfg pyproject.toml setup.py constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[cpu,video]'
	touch $@

.venv/test.stamp: .venv/pyvenv.cfg pyproject.toml setup.py constraints.txt
	$(PIP) install --quiet -c constraints.txt 'torch==2.13.0'
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@

licenses: .venv/test.stamp
	$(BIN)/python tools/licenses.py

# every fault 50 times
faults: .venv/test.stamp
	FAULT_TRIES=50 $(BIN)/python -m pytest tests/faults

# the lowest versions that pyproject.toml allows; one test's clip takes a later PyAV to make
TURNED := tests/runtime/test_sources.py::test_a_clip_that_is_turned_in_its_file_comes_upright

lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip --disable-pip-version-check install --quiet -c constraints-lowest.txt -e '.[dev]'
	.venv-lowest/bin/python -m pytest --deselect $(TURNED)

clean:
	rm -rf .venv .venv-lowest build dist *.egg-info demo.mp4 demo.png .pytest_cache .mypy_cache .ruff_cache
