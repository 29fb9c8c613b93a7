"""See what a network has learned: a table, the signs of trouble, and all figures, from its checkpoint."""

from pathlib import Path

from lit_delays.cli.arguments import Arguments


def inspect(args: list[str]) -> None:
    """Say what a network has learned.

    Prints its size, delays, firing rates and synaptic operations, layer by layer, which chips could hold its
    delays, and what looks wrong; draws all figures. Samples are the validation set of its run, or --data.
    """
    parser = Arguments(prog="lit_delays inspect", description=inspect.__doc__)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or the folder of a run: its best one")
    parser.add_argument("--data", type=Path, metavar="FILE.h5", help="samples in SHD's layout to run it on")
    parser.add_argument("--folder", type=Path, help="where figures go; default: `inspect` in that of the run")
    parser.add_allow_import()
    options = parser.parse_args(args)
    from lit_delays.cli.inspection import tell  # takes seconds, which help need not

    tell(options.checkpoint, options.data, options.folder)
