"""Run with `python -m lit_delays`."""

from lit_delays.cli.main import main

main()
