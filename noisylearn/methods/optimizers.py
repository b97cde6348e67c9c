"""Several optimizers that are one to a Trainer: side by side, or one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
