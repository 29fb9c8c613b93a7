"""Data sets, one a file: imported here, so that the command line knows them by their short names."""

from lit_delays.data.datasets.base import Dataset
from lit_delays.data.datasets.gsc import GSC
from lit_delays.data.datasets.patterns import Patterns
from lit_delays.data.datasets.shd import SHD
from lit_delays.data.datasets.spike_files import SpikeFiles
from lit_delays.data.datasets.ssc import SSC

__all__ = ["GSC", "SHD", "SSC", "Dataset", "Patterns", "SpikeFiles"]
