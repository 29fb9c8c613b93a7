"""Data sets, one a file: imported here, so that the command line knows them by their short names."""

from lit_delays.data.datasets.autonomous_localisation import AutonomousLocalisation
from lit_delays.data.datasets.base import Dataset
from lit_delays.data.datasets.gsc import GSC
from lit_delays.data.datasets.lag_detection import LagDetection
from lit_delays.data.datasets.mackey_glass import MackeyGlass
from lit_delays.data.datasets.memorisation import Memorisation
from lit_delays.data.datasets.patterns import Patterns
from lit_delays.data.datasets.qtdb import QTDB
from lit_delays.data.datasets.sequential_mnist import SequentialMNIST
from lit_delays.data.datasets.series_files import SeriesFiles
from lit_delays.data.datasets.shd import SHD
from lit_delays.data.datasets.spike_files import SpikeFiles
from lit_delays.data.datasets.ssc import SSC
from lit_delays.data.datasets.yin_yang import YinYang

__all__ = [
    "GSC", "QTDB", "SHD", "SSC", "AutonomousLocalisation", "Dataset", "LagDetection", "MackeyGlass",
    "Memorisation", "Patterns", "SequentialMNIST", "SeriesFiles", "SpikeFiles", "YinYang",
]  # fmt: skip
