"""Symmetric cross-entropy (Wang et al., ICCV 2019): cross-entropy plus its reverse, which tolerates wrong labels.

The reverse term needs a value for ``log 0``, the constant ``A``. The paper and its authors' comments say -4; their
code and the code of the papers that followed clamp the one-hot label at 1e-4, so that ``A = ln(1e-4) = -9.21``. The
published weights were run with that code, so this is the default: the loss behind the numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_number, check_weight
from noisylearn.losses.cross_entropy import cross_entropy

LOG_ZERO = math.log(1e-4)
"""The authors' code's ``A``, which stands for ``log 0``."""


def _check_log_zero(log_zero: float) -> float:
    hint = "pass math.log(1e-4), the authors' code's, or -4, the paper's"
    return check_number("log_zero", log_zero, "negative and finite", lambda a: -math.inf < a < 0, hint)


def reverse_cross_entropy(logits: Tensor, targets: Tensor, log_zero: float = LOG_ZERO) -> Tensor:
    """Return ``-sum_c p_c log onehot(y)_c = -A * (1 - p_y)``, one value per sample.

    With ``log 0 = A`` it is ``-A`` times `mean_absolute_error`; summed over all labels it is the constant ``-A * (C -
    1)``, which makes it robust to symmetric noise.

    Source: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019. ``A`` is the
    authors' code's ``math.log(1e-4) = -9.21``; the paper says -4. Reference codes clip ``p`` at 1e-7, which moves their
    value by up to 1e-4 with 100 classes.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        log_zero: ``A``, negative.

    Returns:
        ``(B,)`` losses in ``[0, -A]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``log_zero`` is not a number.
        ValueError: A shape does not fit, or ``log_zero`` is not negative.

    Example:
        >>> reverse_cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]))
        tensor([4.6052, 9.2103])
    """
    return -_check_log_zero(log_zero) * (1 - torch.exp(-cross_entropy(logits, targets)))


def symmetric_cross_entropy(
    logits: Tensor, targets: Tensor, alpha: float = 0.1, beta: float = 1.0, log_zero: float = LOG_ZERO
) -> Tensor:
    """Return ``alpha`` times cross-entropy plus ``beta`` times `reverse_cross_entropy`, one value per sample.

    Source: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019. Published ``(alpha,
    beta)``: (0.1, 1), the default, on CIFAR-10; (6, 0.1) on CIFAR-100; (10, 1) on mini-WebVision (by Ma et al., ICML
    2020). All were run with code whose ``A`` is ``math.log(1e-4)``, the default; the paper says -4.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        alpha: Weight of cross-entropy, at least 0.
        beta: Weight of the reverse term, at least 0.
        log_zero: ``A``, negative.

    Returns:
        ``(B,)`` losses, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or a weight or ``log_zero`` is not a number.
        ValueError: A shape does not fit, a weight is negative, or ``log_zero`` is not.

    Example:
        >>> symmetric_cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
        tensor([4.6745])
        >>> symmetric_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), log_zero=math.log(1e-4))
        tensor([4.6745])
    """
    alpha, beta = check_weight("alpha", alpha), check_weight("beta", beta)
    log_zero = _check_log_zero(log_zero)
    loss = cross_entropy(logits, targets)
    return alpha * loss - beta * log_zero * (1 - torch.exp(-loss))
