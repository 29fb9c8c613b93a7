"""Doctests of a module need what it imports."""

from importlib.util import find_spec
from pathlib import Path

KERNELS = sorted(map(str, Path(__file__).parent.glob("lit_delays/**/*_triton.py")))
collect_ignore = [] if find_spec("triton") else KERNELS
