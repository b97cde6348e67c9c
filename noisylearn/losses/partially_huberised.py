"""Partially Huberised cross-entropy (Menon et al., ICLR 2020): linear where the given label is unlikely."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_number
from noisylearn.losses.cross_entropy import cross_entropy


def phuber_cross_entropy(logits: Tensor, targets: Tensor, tau: float = 10.0) -> Tensor:
    """Return ``-log p_y``, or its tangent at ``p_y = 1 / tau`` where ``p_y`` is less, one value per sample.

    The tangent is ``log(tau) + 1 - tau * p_y``, so the slope in ``p_y`` is never steeper than ``-tau``. With ``tau =
    1`` it is `mean_absolute_error`; for ``tau`` to infinity it is cross-entropy.

    Source: Menon et al., "Can Gradient Clipping Mitigate Label Noise?", ICLR 2020; ``tau`` in its public
    reproduction: 10, the default, on MNIST and CIFAR-100; 2 on CIFAR-10.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        tau: The steepest slope, at least 1.

    Returns:
        ``(B,)`` losses in ``[0, log(tau) + 1]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``tau`` is not a number.
        ValueError: A shape does not fit, or ``tau`` is below 1 or not finite.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 50.0]])
        >>> phuber_cross_entropy(logits, torch.tensor([0, 0]))
        tensor([0.6931, 3.3026])
    """
    tau = check_number("tau", tau, "at least 1 and finite", lambda t: 1 <= t < math.inf, "pass 10, or 2 for CIFAR-10")
    loss = cross_entropy(logits, targets)
    return torch.where(loss < math.log(tau), loss, math.log(tau) + 1 - tau * torch.exp(-loss))
