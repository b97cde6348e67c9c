"""Penalties on a prediction that is too sure of one class (Self-Filtering, Wei et al., ECCV 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._inputs import at_least_float32, check_logits
from noisylearn.losses._log_probs import log_softmax_and_nll

_HINT = "pass the ratio below which a class is too unlikely, e.g. 0.2"


def runner_up_penalty(logits: Tensor, threshold: float = 0.2) -> Tensor:
    """Return ``max(threshold - p_2 / p_1, 0) * -log p_2``, of the likeliest class and the next, one value per sample.

    It is 0 where the second class is not much less likely than the first, and the larger the surer the prediction. The
    label has no part in it. The gradient passes through both factors, as in the authors' code.

    Source: Wei et al., "Self-Filtering: A Noise-Aware Sample Selection for Label Noise with Confidence Penalization",
    ECCV 2022.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        threshold: In ``[0, 1]``; 0 penalizes nothing.

    Returns:
        ``(B,)`` values in nats, float32, or float64 for float64 logits.

    Raises:
        TypeError: The logits are not floating point, or ``threshold`` not a number.
        ValueError: They are not ``(B, C)``, or ``threshold`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> runner_up_penalty(torch.tensor([[3.0, 0.0, -1.0], [0.5, 0.0, 0.0]]))
        tensor([0.4605, 0.0000])
    """
    check_logits(logits)
    threshold = check_probability("threshold", threshold, _HINT)
    first, second = F.log_softmax(at_least_float32(logits), dim=-1).topk(2, dim=-1).values.unbind(-1)
    return (threshold - (second - first).exp()).clamp(min=0) * -second


def other_classes_penalty(logits: Tensor, targets: Tensor, threshold: float = 0.2) -> Tensor:
    """Return ``sum_c max(threshold - p_c / p_y, 0) * -log p_c / (C - 1)``, one value per sample.

    It is 0 where no class is much less likely than the given label. The gradient passes through both factors, as in the
    authors' code.

    Source: Wei et al., "Self-Filtering: A Noise-Aware Sample Selection for Label Noise with Confidence Penalization",
    ECCV 2022.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        threshold: In ``[0, 1]``; 0 penalizes nothing.

    Returns:
        ``(B,)`` values in nats, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``threshold`` is not a number.
        ValueError: A shape does not fit, or ``threshold`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> other_classes_penalty(torch.tensor([[3.0, 0.0, -1.0], [0.5, 0.0, 0.0]]), torch.tensor([0, 0]))
        tensor([0.5996, 0.0000])
    """
    threshold = check_probability("threshold", threshold, _HINT)
    log_p, loss = log_softmax_and_nll(logits, targets)
    # A class that is likelier than the label counts nothing; held at 1, its ratio cannot overflow either.
    ratio = (log_p + loss.unsqueeze(-1)).clamp(max=0).exp()
    return ((threshold - ratio).clamp(min=0) * -log_p).sum(dim=-1) / (logits.shape[-1] - 1)
