"""`Relay`: two optimizers that take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Relay(torch.optim.Optimizer):
    """Two optimizers, one of which takes each step; the Trainer and a scheduler see one, with the groups of the first.

    A learning-rate schedule so moves the first alone. Both are in the state.

    Args:
        first: Has all parameters.
        second: Has some of them.
        is_second: Whether the next step is the second's; asked before each step.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> weight.grad = torch.ones(1)
        >>> relay = Relay(torch.optim.SGD([weight], lr=1.0), torch.optim.Adam([weight], lr=0.1), lambda: True)
        >>> relay.step()
        >>> weight.data
        tensor([-0.1000])
    """

    def __init__(
        self, first: torch.optim.Optimizer, second: torch.optim.Optimizer, is_second: Callable[[], bool]
    ) -> None:
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
