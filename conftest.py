"""Doctests of a module need what it imports."""

from importlib.util import find_spec

KERNELS = ["lit_delays/snn/fast/lif_triton.py", "lit_delays/snn/fast/two_state_triton.py"]
collect_ignore = [] if find_spec("triton") else KERNELS
