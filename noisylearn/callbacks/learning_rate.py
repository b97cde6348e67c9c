"""`StepRate`: the learning rate that a step is made with, where parameter groups have several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class StepRate:
    """Reads the rate of the parameter group that holds the layer making the logits.

    It is read before the step, as a scheduler may move on at its end. As long as the layer is not known, and where no
    group holds it, it is the largest rate of all groups: a frozen backbone's says nothing about the head. 1 where there
    is no optimizer: nothing is trained, and no step weighs more than another.

    Attributes:
        known: Whether the layer's groups have been looked for.

    Example:
        >>> body, head = torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)
        >>> groups = [{"params": body.parameters(), "lr": 0.5}, {"params": head.parameters(), "lr": 0.1}]
        >>> rate = StepRate()
        >>> rate.start_step([torch.optim.SGD(groups)])
        >>> rate.value
        0.5
        >>> rate.look(nearest_parameters(head(body(torch.zeros(1, 2)))))
        >>> rate.value
        0.1
    """

    def __init__(self) -> None:
        self.known = False
        self._before: list[tuple[Any, int, float | Tensor]] = []

    def start_step(self, optimizers: Sequence[Any]) -> None:
        """Read the rates that the step which follows is made with."""
        # By position: an optimizer whose state is loaded in mid-fit has new groups.
        places = [(o, i) for o, i, _ in self._before] if self.known else _places(optimizers)
        self._before = [(o, i, _copied(o.param_groups[i]["lr"])) for o, i in places]

    def look(self, parameters: Iterable[Tensor]) -> None:
        """Keep to the groups that hold one of these parameters, if any does."""
        wanted = {id(p) for p in parameters}
        holding = [place for place in self._before if _holds(place, wanted)]
        self._before, self.known = holding or self._before, True

    @property
    def value(self) -> float | Tensor:
        """The rate of the step; a rate that is a tensor stays one, its device need not wait."""
        rates = [rate for _, _, rate in self._before]
        if not any(isinstance(rate, Tensor) for rate in rates):
            return max(rates, default=1.0)
        return torch.stack([torch.as_tensor(rate) for rate in rates]).amax()


def _places(optimizers: Sequence[Any]) -> list[tuple[Any, int]]:
    return [(optimizer, i) for optimizer in optimizers for i in range(len(optimizer.param_groups))]


def _holds(place: tuple[Any, int, float | Tensor], wanted: set[int]) -> bool:
    optimizer, i, _ = place
    return any(id(p) in wanted for p in optimizer.param_groups[i]["params"])


def _copied(rate: Any) -> float | Tensor:
    return rate.detach().clone() if isinstance(rate, Tensor) else float(rate)


def nearest_parameters(output: Tensor) -> list[Tensor]:
    """Return the parameters that an output's graph meets first: those of the layer that made it.

    Args:
        output: A network's output; without a graph there are none.

    Example:
        >>> head = torch.nn.Linear(3, 2)
        >>> nearest_parameters(head(torch.nn.Linear(4, 3)(torch.zeros(1, 4))).relu())[0] is head.bias
        True
    """
    level, seen = [output.grad_fn], {output.grad_fn}
    while level := [node for node in level if node is not None]:
        found = [node.variable for node in level if hasattr(node, "variable")]
        if found:
            return found
        level = list({node for one in level for node, _ in one.next_functions} - seen)
        seen.update(level)
    return []
