"""What methods that mix samples draw."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_lam(alpha: float) -> Tensor:
    """Return ``max(l, 1 - l)`` for ``l`` drawn from ``Beta(alpha, alpha)``: how much of a sample its mixture keeps.

    So every mixture is mostly the sample itself. A scalar on the CPU, which mixes tensors anywhere without a wait.

    Args:
        alpha: Above 0; the smaller, the less is mixed.

    Example:
        >>> bool(draw_lam(4.0) >= 0.5)
        True
    """
    lam = torch.distributions.Beta(alpha, alpha).sample()
    return torch.maximum(lam, 1 - lam)
