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
EQUATION = {"step", "initial_state", "charge", "leak", "reset"}  # what makes a neuron another one


class Neuron(nn.Module, ABC):
    """A population of neurons: what turns the currents of a layer into its output, from rest.

    A subclass writes :meth:`step`, and :meth:`initial_state` if it has a memory. Training, batches, streams,
    programs and the references of exports all run that step; nothing else needs to know the neuron. One that
    changes the equation of its parent has no node of NIR, unless it writes :meth:`nir` too.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.

    Attributes:
        spikes: Whether the output is zeros and ones; a class says so.
        parameter_groups: The optimiser's group of a parameter, by its name: ``weights`` (the default),
            ``norms`` or ``delays``.

    Shape:
        Input ``(T, B, N)``, output ``(T, B, N)``.

    Raises:
        InputError: If a subclass writes ``forward``, which a stream would not run.
    """

    # what else a class takes are options
    made_for: ClassVar[tuple[str, ...]] = ("num_neurons", "time_step_ms")
    spikes: ClassVar[bool] = True
    parameter_groups: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.forward is not Neuron.forward:
            raise InputError(
                f"`{cls.__name__}` must write `step`, not `forward`, which a stream does not run; a faster"
                " form of the loop is one for `run_neuron.register`."
            )
        if EQUATION & vars(cls).keys() and "nir" not in vars(cls):
            cls.nir = Neuron.nir  # type: ignore[method-assign]

    def __init__(self, num_neurons: int, time_step_ms: float) -> None:
        super().__init__()
        self.num_neurons, self.grid = num_neurons, TimeGrid(time_step_ms)

    def initial_state(self, current: Tensor) -> State:
        """The state at rest, for currents ``(B, N)``: tensors by name, none unless a subclass remembers."""
        return {}

    @abstractmethod
    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: output ``(B, N)`` and the state after it, for a current ``(B, N)`` and a state.

        The equation, which stands nowhere else. It changes no tensor in place.
        """

    def forward(self, current: Tensor) -> Tensor:
        """Output over time, shape ``(T, B, N)``, from rest."""
        output: Tensor = run_neuron(self, current)
        return output

    def learned_times_ms(self) -> dict[str, Tensor]:
        """Learned time constants, in ms, by what they are of, each ``(N,)`` or ``(1,)``; none by default."""
        return {}

    def constrain(self) -> None:
        """Bring what is learned back into its range; called after each optimiser step."""

    def readout(self, num_neurons: int, fires: bool) -> "Neuron | None":
        """The neurons of a readout that belongs to these; None for :func:`~.readouts.readout_of`'s choice.

        Args:
            num_neurons: Number of classes.
            fires: Whether it spikes, instead of giving its voltage.
        """
        return None

    def constants(self) -> dict[str, Any]:
        """What a simulator must know besides the class: learned numbers by name; complex ones as pairs."""
        learned = {name: value.detach() for name, value in self.state_dict().items()}
        pairs = {name: torch.view_as_real(it) if it.is_complex() else it for name, it in learned.items()}
        return {name: value.tolist() for name, value in pairs.items()}

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
    if not isinstance(state, Mapping):
        raise InputError(
            f"`{type(neuron).__name__}.initial_state` must give tensors by name, as a dict, got a"
            f" {type(state).__name__}."
        )
    for now in current.unbind():
        output, state = neuron.step(now, state)
        outputs.append(output)
    return torch.stack(outputs)


run_neuron = Operation(_run_neuron, name="neuron")
