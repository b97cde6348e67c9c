"""Label smoothing, towards the uniform distribution or, with a negative rate, away from it."""

from __future__ import annotations

import math

from torch import Tensor

from noisylearn.losses._arguments import check_number
from noisylearn.losses._log_probs import log_softmax_and_nll


def label_smoothing(logits: Tensor, targets: Tensor, smoothing: float = 0.1) -> Tensor:
    """Return cross-entropy against ``(1 - r) * onehot(y) + r / C``, one value per sample.

    ``(1 - r) * -log p_y + r * mean_c(-log p_c)`` with the rate ``r = smoothing``. A rate of 0 is cross-entropy.

    A *negative* rate is negative label smoothing (NLS), which sharpens the predictions and helps more the more labels
    are wrong. It has no minimum (``-|r| * mean_c(-log p_c)`` falls without bound as any ``p_c`` goes to 0), so its
    authors start it from a network warmed up with cross-entropy where the noise rate is large.

    Source: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, whose rate 0.1 is the default; Wei et
    al., "To Smooth or Not? When Label Smoothing Meets Noisy Labels", ICML 2022, who search the rate in [-8, 0.8].

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        smoothing: Share of the uniform distribution, at most 1; negative for NLS.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 for float64 logits; with a negative rate they may be negative.

    Raises:
        TypeError: A dtype does not fit, or ``smoothing`` is not a number.
        ValueError: A shape does not fit, or ``smoothing`` is above 1 or not finite.

    Example:
        >>> import torch
        >>> logits, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([1])
        >>> label_smoothing(logits, targets), label_smoothing(logits, targets, smoothing=-0.4)
        (tensor([0.2269]), tensor([-0.2731]))
    """
    hint = "pass 0.1, or a negative rate for negative label smoothing"
    rate = check_number("smoothing", smoothing, "at most 1 and finite", lambda r: -math.inf < r <= 1, hint)
    log_p, loss = log_softmax_and_nll(logits, targets)
    return (1 - rate) * loss - rate * log_p.mean(dim=-1)
