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

test: $(VENV)/ready $(VENV)/brian2/ready
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
	# importers of NIR, which tests feed; their dependencies would bring builds of torch for CUDA
	$(BIN)/pip install --quiet --no-deps nirtorch==2.6 snntorch==1.0.0 norse==1.1.0 spikingjelly==2.0.0 loguru==0.7.3
	@touch $@

# in an environment of its own: Brian2 2.9 needs NumPy below 2.4; no compiler, as it runs its NumPy code
$(VENV)/brian2/ready: $(VENV)/ready
	$(PYTHON) -m venv $(VENV)/brian2
	$(VENV)/brian2/bin/pip install --quiet brian2==2.9.0 "numpy<2.4"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
