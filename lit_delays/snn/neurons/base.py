"""What every neuron is: parameters of its own, a state, and one step of its equation.

Shape letters: T steps, B samples, N neurons.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.operation import Operation
from lit_delays.time_grid import TimeGrid

State = dict[str, Tensor]  # by name, each (B, N)

READOUT_THRESHOLD = 2.0  # of a readout that fires; the reference's


class Neuron(nn.Module, ABC):
    """A population of neurons: what turns the currents of a layer into its output, from rest.

    A subclass writes :meth:`step`, and :meth:`initial_state` if it has a memory. Training, batches, streams,
    programs and the references of exports all run that step; nothing else needs to know the neuron.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.

    Attributes:
        spikes: Whether the output is zeros and ones; a class says so.
        parameter_groups: The optimiser's group of a parameter, by its name: ``weights`` (the default),
            ``norms`` or ``delays``.

    Shape:
        Input ``(T, B, N)``, output ``(T, B, N)``.
    """

    spikes: ClassVar[bool] = True
    parameter_groups: ClassVar[Mapping[str, str]] = {}

    def __init__(self, num_neurons: int, time_step_ms: float) -> None:
        super().__init__()
        self.num_neurons, self.grid = num_neurons, TimeGrid(time_step_ms)

    def initial_state(self, current: Tensor) -> State:
        """The state at rest, for currents ``(B, N)``: nothing, unless a subclass remembers something."""
        return {}

    @abstractmethod
    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: output ``(B, N)`` and the state after it, for a current ``(B, N)`` and a state.

        The place where the equation stands. It changes no tensor in place.
        """

    def forward(self, current: Tensor) -> Tensor:
        """Output over time, shape ``(T, B, N)``, from rest."""
        output: Tensor = run_neuron(self, current)
        return output

    def constrain(self) -> None:
        """Bring what is learned back into its range; called after each optimiser step."""

    def readout(self, num_neurons: int, fires: bool) -> "Neuron":
        """The neurons of a readout that belongs to these.

        By default leaky integrators of the same ``tau_mem_ms``, if these have one, or leaky
        integrate-and-fire neurons with a threshold of 2 where the readout's spikes are counted.

        Args:
            num_neurons: Number of classes.
            fires: Whether it spikes, instead of giving its voltage.
        """
        from lit_delays.snn.neurons.leaky_integrator import LeakyIntegrator  # which is a neuron too
        from lit_delays.snn.neurons.lif import LIF

        tau_mem_ms = getattr(self, "tau_mem_ms", None)
        known: dict[str, Any] = {} if tau_mem_ms is None else {"tau_mem_ms": tau_mem_ms}
        if fires:
            return LIF(num_neurons, self.grid.time_step_ms, **known, v_threshold=READOUT_THRESHOLD)
        return LeakyIntegrator(num_neurons, self.grid.time_step_ms, **known)

    def constants(self) -> dict[str, Any]:
        """What a simulator must know besides the class: learned numbers by name, as plain values."""
        return {name: value.detach().tolist() for name, value in self.state_dict().items()}

    def nir(self, time_step_s: float) -> tuple[str, dict[str, Tensor | float]]:
        """Name of the node of NIR that says the same, and its parameters.

        Args:
            time_step_s: Length of a time step, in s.

        Raises:
            InputError: If NIR has no such node.
        """
        raise InputError(
            f"--format nir has no node for the equation of `{type(self).__name__}`; choose --format"
            " safetensors or torch."
        )


def _run_neuron(neuron: Neuron, current: Tensor) -> Tensor:
    state, outputs = neuron.initial_state(current[0]), []
    for now in current.unbind():
        output, state = neuron.step(now, state)
        outputs.append(output)
    return torch.stack(outputs)


run_neuron = Operation(_run_neuron)
run_neuron.__name__ = "neuron"  # type: ignore[attr-defined]
