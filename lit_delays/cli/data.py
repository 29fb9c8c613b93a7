"""``python -m lit_delays data fetch shd``: public data sets to their place."""

from pathlib import Path

from lit_delays.cli.arguments import Arguments
from lit_delays.data.storage.fetch import fetch
from lit_delays.data.storage.sources import FETCHABLE
from lit_delays.errors import InputError


def data(args: list[str]) -> None:
    """Fetch a public data set: over HTTPS, checked against known digests, going on where it broke off.

    Repeating the command checks what is there.
    """
    parser = Arguments(prog="lit_delays data", description=data.__doc__)
    parser.add_argument("action", choices=["fetch"], help="what to do")
    titles = ", ".join(f"{name} ({source.title})" for name, source in FETCHABLE.items())
    parser.add_argument("dataset", choices=FETCHABLE, help=titles)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder for it; default: data")
    parser.add_argument(
        "--mirror", metavar="ADDRESS", help="another https:// address of the files; the digests stay the same"
    )
    options = parser.parse_args(args)
    source = FETCHABLE[options.dataset]
    address = options.mirror or source.address
    if not address.startswith("https://"):
        raise InputError(f"`--mirror` must start with https://, got {address!r}.")
    for archive in source.archives:
        print(fetch(archive, options.data_dir.expanduser(), address.rstrip("/") + "/"))
