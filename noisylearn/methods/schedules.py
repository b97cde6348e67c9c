"""Learning-rate schedules of the papers that torch has none for."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from noisylearn._checks import check_non_negative, check_probability


class HoldThenLinearLR(LRScheduler):
    """A rate that holds and then falls in a line to 0, with another first moment of Adam's while it falls.

    Source: the plan of Co-teaching's code, which Co-teaching+, JoCoR and their ports of Decoupling share: Adam, from
    epoch 80 to 200 (on CIFAR-100 from 100), with ``betas[0]`` 0.1 in place of 0.9.

    Args:
        optimizer: The optimizer.
        hold: Epochs (or steps) at the full rate.
        total_iters: When the rate would be 0.
        late_beta1: The first of Adam's ``betas`` from ``hold`` on; None leaves it.
        last_epoch: As in torch.

    Raises:
        ValueError: ``hold`` is negative or not below ``total_iters``, ``late_beta1`` outside [0, 1], or the optimizer
            has no ``betas``.

    Example:
        >>> optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = HoldThenLinearLR(optimizer, hold=2, total_iters=4, late_beta1=0.1)
        >>> for _ in range(4):
        ...     print(schedule.get_last_lr()[0], optimizer.param_groups[0]["betas"][0])
        ...     optimizer.step()
        ...     schedule.step()
        1.0 0.9
        1.0 0.9
        1.0 0.1
        0.5 0.1
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        hold: int,
        total_iters: int,
        late_beta1: float | None = None,
        last_epoch: int = -1,
    ) -> None:
        check_non_negative("hold", hold, "the epochs at the full rate, e.g. 80")
        if hold >= total_iters:
            raise ValueError(f"`hold` must be below `total_iters`, got {hold} and {total_iters}: e.g. 80 and 200")
        if late_beta1 is not None:
            check_probability("late_beta1", late_beta1, "the first of Adam's betas, e.g. 0.1")
            if "betas" not in optimizer.defaults:
                found = f"got {type(optimizer).__name__}"
                raise ValueError(f"`late_beta1` needs an optimizer with `betas`, {found}: leave it out, or use Adam")
        self.hold, self.total_iters, self.late_beta1 = hold, total_iters, late_beta1
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group."""
        if self.late_beta1 is not None and self.last_epoch >= self.hold:
            for group in self.optimizer.param_groups:
                group["betas"] = (self.late_beta1, *group["betas"][1:])
        left = (self.total_iters - self.last_epoch) / (self.total_iters - self.hold)
        return [rate * min(max(left, 0.0), 1.0) for rate in self.base_lrs]


class PiecewiseConstantLR(LRScheduler):
    """A learning rate in steps of any height, for methods that train in stages.

    Source: the schedules of PENCIL (0.06; from epoch 200 on 0.2, 0.02, 0.002) and of Joint Optimization, which no
    scheduler of torch has without objects in its arguments.

    Args:
        optimizer: The optimizer.
        milestones: Epochs (or steps) from which a new rate holds, rising.
        factors: What the optimizer's rate is multiplied by from each of them on.
        last_epoch: As in torch.

    Raises:
        ValueError: There are not as many factors as milestones, or these do not rise.

    Example:
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.06)
        >>> schedule = PiecewiseConstantLR(optimizer, milestones=[1, 3], factors=[10.0, 0.5])
        >>> for _ in range(4):
        ...     print(round(schedule.get_last_lr()[0], 2), end=" ")
        ...     optimizer.step()
        ...     schedule.step()
        0.06 0.6 0.6 0.03
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        milestones: Sequence[int],
        factors: Sequence[float],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(factors):
            raise ValueError(
                f"`factors` must be as many as `milestones`, got {len(factors)} for {len(milestones)}: the rate before "
                "the first milestone is the optimizer's own"
            )
        if list(milestones) != sorted(set(milestones)):
            raise ValueError(f"`milestones` must rise, got {list(milestones)}: sort them, each once")
        self.milestones, self.factors = list(milestones), list(factors)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group."""
        passed = bisect(self.milestones, self.last_epoch)
        factor = self.factors[passed - 1] if passed else 1.0
        return [rate * factor for rate in self.base_lrs]
