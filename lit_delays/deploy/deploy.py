r"""From a trained network to the one that ships: whole delays, norms folded into the synapses, no dropout.

Batch norm in evaluation is an affine map of every neuron's current, so it moves into its synapses:

.. math:: \gamma\,\frac{\sum_i w_i x_i - \mu}{\sqrt{\mathrm{Var} + \epsilon}} + \beta
          = \sum_i (g\,w_i)\, x_i + (\beta - g\,\mu), \qquad g = \frac{\gamma}{\sqrt{\mathrm{Var} + \epsilon}}

The bias acts in every step, also in those that a layer adds after its input has ended.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.network import Layer, Network
from lit_delays.snn.recurrence import Recurrence
from lit_delays.snn.synapses import Synapses, WholeDelays


@torch.no_grad()
def deploy(network: Network) -> Network:
    """The network as it ships, in the same classes: each layer has :class:`WholeDelays`, and no norm.

    Folded in double precision, then rounded once to the network's own.

    Args:
        network: The trained network; it is not changed. One that is deployed already is copied.

    Raises:
        InputError: If a weight is not a number: the training diverged; or if a norm cannot be folded.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> network = Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8])).eval()
        >>> counts = torch.ones(10, 3, 4)
        >>> torch.allclose(deploy(network)(counts), network(counts), atol=1e-5)
        True
    """
    layers = [_deployed(layer) for layer in network.named_layers().values()]
    deployed = Network(network.config, network.interface, layers)
    check(deployed)
    return deployed.eval().requires_grad_(False)


def check(network: Network) -> None:
    """See that the weights of a deployed network are numbers, and its delays within their windows.

    Raises:
        InputError: If not.
    """
    for name, synapses in network.named_synapses().items():
        if isinstance(synapses, WholeDelays):
            synapses.check(name)
    for name, value in network.named_parameters():
        if not value.isfinite().all():
            raise InputError(f"`{name}` is not all numbers; take the checkpoint of an earlier epoch.")


def whole(network: Network) -> dict[str, WholeDelays]:
    """Synapses of a deployed network, by the name of their layer."""
    found = network.named_synapses()
    return {name: synapses for name, synapses in found.items() if isinstance(synapses, WholeDelays)}


def _deployed(layer: Layer) -> Layer:
    gain, bias = _affine(layer.norm, layer.synapses)
    return Layer(
        _whole_delays(layer.synapses, gain, bias),
        nn.Identity(),
        deepcopy(layer.neuron),
        synaptic_filter=deepcopy(layer.synaptic_filter),
        recurrent=None if layer.recurrent is None else _whole_recurrence(layer.recurrent.synapses),
    )


def _whole_recurrence(synapses: Synapses) -> Recurrence:
    """Its currents come behind the norm: there is nothing to fold in."""
    return Recurrence(_whole_delays(synapses, *_affine(nn.Identity(), synapses)))


def _affine(norm: nn.Module, synapses: Synapses) -> tuple[Tensor, Tensor]:
    """Gain and bias of a norm in evaluation, both ``(N,)``, in double precision."""
    if isinstance(norm, nn.Identity):
        ones = torch.ones(synapses.num_outputs, dtype=torch.float64, device=synapses.whole_delays()[0].device)
        return ones, torch.zeros_like(ones)
    if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_var is None:
        raise InputError(f"only batch norms can be folded into synapses, got {type(norm).__name__}.")
    assert norm.running_mean is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return gain, norm.bias.double() - gain * norm.running_mean.double()


def _whole_delays(synapses: Synapses, gain: Tensor, bias: Tensor) -> WholeDelays:
    weight, delay = synapses.whole_delays()
    made = WholeDelays(
        synapses.num_inputs,
        synapses.num_outputs,
        weight.shape[-1],
        num_lags=synapses.num_lags,
        keep_length=synapses.keep_length,
    ).to(weight)
    if (own := getattr(synapses, "bias", None)) is not None:
        bias = bias + gain * own.double()
    made.weight.copy_(weight.double() * gain.view(-1, 1, 1))
    made.delay = delay.to(torch.int16)
    made.bias.copy_(bias)
    return made
