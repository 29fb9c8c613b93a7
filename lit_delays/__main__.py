"""Run with `python -m lit_delays`."""

from lit_delays.cli import main

main()
