# make quickstart   train delays on generated patterns, see that they learn what no delays cannot
# make test         style, types and tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m lit_delays
QUICKSTART := fit --config configs/quickstart.yaml --trainer.default_root_dir runs/quickstart

.PHONY: quickstart test format clean

quickstart: $(VENV)/ready
	$(RUN) $(QUICKSTART) --name learned_delays
	$(RUN) $(QUICKSTART) --name no_delays --model.network.synapses.delays none
	@$(RUN) report runs/quickstart/learned_delays runs/quickstart/no_delays

test: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -q

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# pip, not uv: every version is pinned in constraints.txt, torch to the build that the machine's index offers
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps sweeps==0.3.0  # tests read its schema; it would take NumPy back to 1
	$(BIN)/pip install --quiet --no-deps neurobench==2.3.0  # tests count with its own code; it would bring tonic
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
