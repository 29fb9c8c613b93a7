"""Kinds of synapses, one class a file; :class:`~.base.Synapses` says what one is."""

from lit_delays.snn.synapses.base import Synapses
from lit_delays.snn.synapses.synaptic_delays import SynapticDelays
from lit_delays.snn.synapses.whole_delays import WholeDelays

__all__ = ["Synapses", "SynapticDelays", "WholeDelays"]
