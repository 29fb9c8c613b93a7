"""Kinds of synapses, one class a file; :class:`~.base.Synapses` says what one is."""

from lit_delays.snn.synapses.base import Separated, Synapses
from lit_delays.snn.synapses.recurrent_delays import RecurrentDelays
from lit_delays.snn.synapses.structured_delays import StructuredDelays
from lit_delays.snn.synapses.synaptic_delays import SynapticDelays
from lit_delays.snn.synapses.whole_delays import WholeDelays

__all__ = ["RecurrentDelays", "Separated", "StructuredDelays", "Synapses", "SynapticDelays", "WholeDelays"]
