"""Asymmetric losses (Zhou et al., ICML 2021): robust where the right label is still the likeliest of each sample.

Both are shifted forms of known losses, and functions of ``u = 1 - p_y`` alone. They are computed as powers relative to
the sure prediction's (``u = 0``), since the difference of the powers themselves cancels where a loss is small.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_number, check_positive
from noisylearn.losses.cross_entropy import cross_entropy


def asymmetric_generalized_cross_entropy(logits: Tensor, targets: Tensor, a: float = 0.6, q: float = 0.6) -> Tensor:
    """Return ``((a + 1)^q - (a + p_y)^q) / q`` (AGCE), one value per sample.

    For ``a`` to 0 it is `generalized_cross_entropy`; with ``q = 1`` it is `mean_absolute_error`.

    Source: Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021. ``(a, q)`` of the
    authors' configuration: (0.6, 0.6), the default, on CIFAR-10 and CIFAR-100; (4, 0.2) on MNIST. Added to
    `normalized_cross_entropy` with weights (1, 4) it has (6, 1.5) on CIFAR-10, with (10, 0.1) it has (1.8, 3) on
    CIFAR-100.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        a: The shift, positive.
        q: The exponent, positive.

    Returns:
        ``(B,)`` losses in ``[0, ((a + 1)^q - a^q) / q]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``a`` or ``q`` is not a number.
        ValueError: A shape does not fit, or ``a`` or ``q`` is not positive and finite.

    Example:
        >>> asymmetric_generalized_cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]))
        tensor([0.4449, 0.9829])
    """
    a, q = check_positive("a", a, "pass 0.6, the paper's"), check_positive("q", q, "pass 0.6, the paper's")
    u = 1 - torch.exp(-cross_entropy(logits, targets))
    return math.pow(a + 1, q) / -q * torch.expm1(q * torch.log1p(-u / (a + 1)))


def asymmetric_unhinged_loss(logits: Tensor, targets: Tensor, a: float = 5.5, q: float = 3.0) -> Tensor:
    """Return ``((a - p_y)^q - (a - 1)^q) / q`` (AUL in the paper, AUE in its code), one value per sample.

    With ``q = 1`` it is `mean_absolute_error`, the unhinged loss.

    Source: Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021. ``(a, q)`` of the
    authors' configuration: (5.5, 3), the default, on CIFAR-10 and CIFAR-100; (3, 0.1) on MNIST. Added to
    `normalized_cross_entropy` with weights (1, 4) it has (6.3, 1.5) on CIFAR-10, with (10, 0.015) it has (6, 3) on
    CIFAR-100.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        a: The shift, above 1.
        q: The exponent, positive.

    Returns:
        ``(B,)`` losses in ``[0, (a^q - (a - 1)^q) / q]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``a`` or ``q`` is not a number.
        ValueError: A shape does not fit, ``a`` is not above 1, or ``q`` is not positive and finite.

    Example:
        >>> asymmetric_unhinged_loss(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]))
        tensor([11.2917, 25.0833])
    """
    a = check_number("a", a, "above 1 and finite", lambda v: 1 < v < math.inf, "pass 5.5, the paper's")
    q = check_positive("q", q, "pass 3, the paper's")
    u = 1 - torch.exp(-cross_entropy(logits, targets))
    return math.pow(a - 1, q) / q * torch.expm1(q * torch.log1p(u / (a - 1)))
