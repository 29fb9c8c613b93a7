"""What is measured of a network at work and at rest: one definition of each number."""

from lit_delays.metrics.activity import Activity
from lit_delays.metrics.footprint import Footprint, delay_histogram, footprints
from lit_delays.metrics.synaptic_operations import SynapticOperations

__all__ = ["Activity", "Footprint", "SynapticOperations", "delay_histogram", "footprints"]
