"""Several optimizers that are one to a Trainer: side by side, one after the other, or in turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class Chain(Optimizer):
    """Optimizers of different parameters that step together.

    Parameter groups and state are those of its parts, so that schedulers, clipping, checkpoints and scaled gradients
    see one ordinary optimizer.

    Args:
        *parts: Optimizers; no parameter is in two of them.

    Raises:
        ValueError: A parameter is in two of them.

    Example:
        >>> import torch
        >>> one, other = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
        >>> chain = Chain(torch.optim.SGD([one], lr=0.1), torch.optim.Adam([other], lr=0.2))
        >>> one.grad, other.grad = torch.ones(1), torch.ones(1)
        >>> chain.step()
        >>> one.item(), other.item()
        (0.8999999761581421, 0.800000011920929)
    """

    def __init__(self, *parts: Optimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.defaults = parts[0].defaults
        self.parts = parts
        self._share()

    def _share(self) -> None:
        """Let the parts have these groups and this state, not copies."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure once, and step every part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore all parts."""
        super().load_state_dict(state_dict)
        self._share()


class Phases(Optimizer):
    """Optimizers of the same parameters, of which one steps until `enter` names the next.

    Parameter groups and state are those of the one that steps; only that one is in a checkpoint.

    Args:
        *parts: Optimizers, the first of which steps first.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> phases = Phases(torch.optim.SGD([weight], lr=0.1), torch.optim.Adam([weight], lr=0.5))
        >>> phases.enter(1)
        >>> weight.grad = torch.ones(1)
        >>> phases.step()
        >>> round(weight.item(), 3), phases.param_groups[0]["lr"]
        (0.5, 0.5)
    """

    def __init__(self, *parts: Optimizer) -> None:
        super().__init__(parts[0].param_groups, {})
        self.parts = parts
        self.enter(0)

    def enter(self, phase: int) -> None:
        """Let the optimizer of that number step from now on."""
        self.phase, part = phase, self.parts[phase]
        self.defaults, self.param_groups, self.state = part.defaults, part.param_groups, part.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the optimizer of this phase."""
        return self.parts[self.phase].step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Return the phase and its optimizer's state."""
        return {"phase": self.phase, **self.parts[self.phase].state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Enter the phase that was saved, and restore its optimizer."""
        rest = dict(state_dict)
        phase = rest.pop("phase")
        self.parts[phase].load_state_dict(rest)
        self.enter(phase)


class Relay(Optimizer):
    """Two optimizers, one of which takes each step; the Trainer and a scheduler see one, with the groups of the first.

    A learning-rate schedule so moves the first alone. Both are in the state.

    Args:
        first: Has all parameters.
        second: Has some of them.
        is_second: Whether the next step is the second's; asked before each step.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> weight.grad = torch.ones(1)
        >>> relay = Relay(torch.optim.SGD([weight], lr=1.0), torch.optim.Adam([weight], lr=0.1), lambda: True)
        >>> relay.step()
        >>> weight.data
        tensor([-0.1000])
    """

    def __init__(self, first: Optimizer, second: Optimizer, is_second: Callable[[], bool]) -> None:
        super().__init__(first.param_groups, first.defaults)
        self.first, self.second, self._is_second = first, second, is_second
        self.param_groups = first.param_groups

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Let the one whose turn it is step."""
        return (self.second if self._is_second() else self.first).step(closure)

    def forget(self, parameters: list[Tensor]) -> None:
        """Begin anew with these parameters: their momentum, say, belongs to weights that are no more.

        Args:
            parameters: Some of the first's.
        """
        for parameter in parameters:
            self.first.state.pop(parameter, None)
            self.second.state.pop(parameter, None)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {"first": self.first.state_dict(), "second": self.second.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of both."""
        self.first.load_state_dict(state_dict["first"])
        self.second.load_state_dict(state_dict["second"])
        self.param_groups = self.first.param_groups  # it has made new ones
