"""Neurons, one class a file; :class:`~.base.Neuron` says what one is."""

from lit_delays.snn.neurons.adlif import AdLIF, CAdLIF
from lit_delays.snn.neurons.averaging_integrator import AveragingIntegrator
from lit_delays.snn.neurons.base import Neuron, State
from lit_delays.snn.neurons.heaviside import Heaviside
from lit_delays.snn.neurons.leaky_integrator import LeakyIntegrator
from lit_delays.snn.neurons.lif import LIF
from lit_delays.snn.neurons.plif import PLIF
from lit_delays.snn.neurons.raw_current import RawCurrent
from lit_delays.snn.neurons.relu import ReLU
from lit_delays.snn.neurons.se_adlif import EFAdLIF, SEAdLIF
from lit_delays.snn.neurons.silif import CSiLIF, SiLIF
from lit_delays.snn.neurons.soft_reset_lif import SoftResetLIF
from lit_delays.snn.neurons.synaptic_filter import SynapticFilter
from lit_delays.snn.neurons.two_states import TwoStateNeuron

__all__ = [
    "LIF", "PLIF", "AdLIF", "AveragingIntegrator", "CAdLIF", "CSiLIF", "EFAdLIF", "Heaviside",
    "LeakyIntegrator", "Neuron",
    "RawCurrent", "ReLU", "SEAdLIF", "SiLIF", "SoftResetLIF", "State", "SynapticFilter", "TwoStateNeuron",
]  # fmt: skip
