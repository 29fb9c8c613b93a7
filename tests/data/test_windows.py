"""The data path without fcntl and resource, as on Windows: it works, without limits, and says so."""

import subprocess
import sys

SCRIPT = """
import logging, signal, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("SIGXCPU", "SIGXFSZ"):
    delattr(signal, name)
logging.basicConfig()
from pathlib import Path
from lit_delays.data.module import SpikeData
from lit_delays.data.storage import fetch
from lit_delays.data.storage.spike_files import open_spikes
from lit_delays.cli import data, encode
for name in sys.argv[1:]:
    print(open_spikes(Path(name)).labels.tolist())
"""


def test_files_are_read_without_locks_and_limits(tmp_path, caches):
    from tests.data.three import write

    paths = [str(write(tmp_path / name)) for name in ("one.h5", "two.h5")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1, 0, 1]"] * 2
    assert done.stderr.count("cannot limit the time and memory that a data file takes") == 1
    assert [path.suffix for path in caches.iterdir()] == [".spikes"] * 2
