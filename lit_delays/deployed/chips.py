"""What known chips hold, as far as their makers' software says it."""

from dataclasses import dataclass

from lit_delays.deployed.costs import footprints
from lit_delays.deployed.network import DeployedSNN


@dataclass(frozen=True)
class Chip:
    """Limits of a chip.

    Attributes:
        name: Its name.
        longest_delay: In time steps.
        weight_bits: Width of a weight; None where no source was found.
        source: Where the limits stand.
    """

    name: str
    longest_delay: int
    weight_bits: int | None
    source: str


CHIPS = (
    Chip("Loihi 2", 62, 8, "lava-dl: slayer.axon.Delay(max_delay=62), blocks ready for 8-bit weights"),
    Chip("SpiNNaker", 15, None, "sPyNNaker: 16 delay slots in a synaptic word; longer ones take more cores"),
)


def misfits(network: DeployedSNN, chip: Chip) -> list[str]:
    """Why a network does not fit a chip, a sentence each; empty where nothing known speaks against it.

    Example:
        >>> from lit_delays.deployed.network import DeployedSNN
        >>> from lit_delays.snn.network import NetworkConfig
        >>> misfits(DeployedSNN(NetworkConfig(hidden_size=8)), CHIPS[0])
        []
    """
    return [
        f"{name} has delays up to {memory.longest_delay} steps, {chip.name} holds {chip.longest_delay}"
        for name, memory in footprints(network).items()
        if memory.longest_delay > chip.longest_delay
    ]
