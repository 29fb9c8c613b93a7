"""Spiking networks with learnable delays: the science, on torch alone."""

from lit_delays.snn import fast

__all__ = ["fast"]
