"""Doctests of a module need what it imports."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("triton") else ["lit_delays/snn/fast/lif_triton.py"]
