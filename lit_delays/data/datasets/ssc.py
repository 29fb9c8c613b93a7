"""Spiking Speech Commands."""

from lit_delays.data.datasets.shd import SHD


class SSC(SHD):
    """Spoken words, 35 classes, as spikes of 700 channels: what SHD is, with a validation set of its own."""

    source = "ssc"
