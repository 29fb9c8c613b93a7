"""Spiking networks with learnable delays, trained with PyTorch Lightning."""

__version__ = "0.1.0"
