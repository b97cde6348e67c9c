"""Binary heads with one logit, seen as two classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def has_one_logit(logits: Tensor) -> bool:
    """Whether it is what a binary head makes: ``(B,)`` or ``(B, 1)``.

    Example:
        >>> has_one_logit(torch.zeros(4, 1)), has_one_logit(torch.zeros(4, 2))
        (True, False)
    """
    return logits.ndim == 1 or (logits.ndim == 2 and logits.shape[1] == 1)


def two_logits(one: Tensor) -> Tensor:
    """Return ``(B, 2)`` logits ``[0, z]``, whose softmax is the sigmoid of the one logit ``z`` and its complement.

    Args:
        one: ``(B,)`` or ``(B, 1)``.

    Example:
        >>> two_logits(torch.tensor([[3.0], [-1.0]])).tolist()
        [[0.0, 3.0], [0.0, -1.0]]
    """
    one = one.reshape(-1)
    return torch.stack([torch.zeros_like(one), one], 1)


def as_classes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and labels as signals take them: a binary head's as two classes, any others as they are.

    Args:
        logits: ``(B, C)``, or ``(B,)`` or ``(B, 1)`` of a binary head.
        targets: ``(B,)`` class ids; of a binary head also ``(B, 1)``, and floating point.

    Example:
        >>> logits, targets = as_classes(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]))
        >>> logits.shape, targets
        (torch.Size([2, 2]), tensor([1, 0]))
    """
    return (two_logits(logits), targets.reshape(-1).long()) if has_one_logit(logits) else (logits, targets)


class TwoLogits(nn.Module):
    """A binary network with one logit, as one with two; it has that network's parameters and mode.

    Args:
        network: The module that maps inputs to ``(B,)`` or ``(B, 1)``.

    Example:
        >>> TwoLogits(nn.Linear(3, 1))(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, inputs: Any) -> Tensor:
        """Return ``(B, 2)`` logits."""
        return two_logits(self.network(inputs))
