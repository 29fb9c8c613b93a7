"""Weights & Biases' server: whether there is a key for it, and whether it answers."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

SECONDS = 3  # a compute node without a network does not answer at all


def address() -> tuple[str, int]:
    """Host and port of the server."""
    server = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai")
    return server.hostname or "", server.port or (80 if server.scheme == "http" else 443)


def has_key() -> bool:
    """Whether this machine has a key."""
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return "WANDB_API_KEY" in os.environ or (netrc.is_file() and address()[0] in netrc.read_text())


def answers() -> bool:
    """Whether the server can be reached; taken for granted behind a proxy."""
    if getproxies():
        return True
    try:
        socket.create_connection(address(), SECONDS).close()
    except OSError:
        return False
    return True
