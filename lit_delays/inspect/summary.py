"""A network in one line."""

from lit_delays.snn.network import Network

PAPER = ("LIF", "SynapticDelays")  # parts that go without saying


def describe(network: Network) -> str:
    """The network in one line; parts that are not the paper's are named.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> describe(Network(NetworkConfig()))
        '140-256-256-20, learned delays up to 240 ms, 214,016 parameters'
        >>> from lit_delays.snn.synapses import RecurrentDelays
        >>> describe(Network(NetworkConfig(hidden_sizes=[9], recurrent=RecurrentDelays)))
        '140-9-20, learned delays up to 240 ms, recurrent: learned delays, 2,988 parameters'
    """
    config, layers = network.config, network.named_layers().values()
    sizes = "-".join(map(str, [config.num_inputs, *config.hidden_sizes, config.num_classes]))
    kinds = dict.fromkeys(layer.synapses.delay_kind for layer in layers if layer.synapses.num_lags > 1)
    longest = (network.num_lags - 1) * config.time_step_ms
    delays = f"{' and '.join(kinds)} delays up to {longest:g} ms" if kinds else "no delays"
    recurrent = dict.fromkeys(layer.recurrent.synapses.delay_kind for layer in layers if layer.recurrent)
    if recurrent:
        words = ("no" if kind == "none" else kind for kind in recurrent)
        delays = f"{delays}, recurrent: {' and '.join(words)} delays"
    parts = [type(layer.neuron) for layer in layers][:-1] + [type(layer.synapses) for layer in layers]
    others = dict.fromkeys(part.__name__ for part in parts if part.__name__ not in PAPER)
    norm = [] if config.norm == "batch" else ["no norm"]
    return ", ".join([sizes, delays, *others, *norm, f"{count_parameters(network):,} parameters"])


def count_parameters(network: Network) -> int:
    """Learned numbers as the paper counts them: weights, delays and norms of the synapses that exist.

    Synapses that drop some have a ``mask`` of the same shape as their parameters.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> count_parameters(Network(NetworkConfig()))
        214016
    """
    total = sum(parameter.numel() for parameter in network.parameters())
    for synapses in network.named_synapses().values():
        mask = getattr(synapses, "mask", None)
        if mask is not None:
            masked = sum(parameter.shape == mask.shape for parameter in synapses.parameters())
            total -= masked * int((~mask).sum())
    return total
