"""The step of SELC's targets (Lu & He, IJCAI 2022): labels that move to the network's own predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._inputs import at_least_float32, check_rows


def selc_target_update(soft_targets: Tensor, logits: Tensor, momentum: float = 0.9) -> Tensor:
    """Return ``momentum * t + (1 - momentum) * softmax(logits)``, detached.

    Targets start as the given labels, one-hot. After ``k`` steps ``momentum**k`` of the given label is left, the rest
    is the ensemble of the predictions; the loss is `soft_cross_entropy` against the new targets.

    Source: Lu & He, "SELC: Self-Ensemble Label Correction Improves Learning with Noisy Labels", IJCAI 2022; 0.9
    throughout the authors' code.

    Args:
        soft_targets: ``(B, C)`` floating point, the rows of the batch's samples.
        logits: ``(B, C)`` floating point, raw outputs; no gradient flows back to them.
        momentum: Share of the old target kept, in ``[0, 1]``.

    Returns:
        ``(B, C)`` new rows, float32, or float64 where an argument is float64. ``soft_targets`` is not changed.

    Raises:
        TypeError: A tensor is not floating point or ``momentum`` not a number.
        ValueError: The shapes differ, or ``momentum`` is outside ``[0, 1]``.

    Example:
        >>> selc_target_update(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor([[0.9500, 0.0500]])
    """
    check_rows("soft_targets", logits, soft_targets)
    momentum = check_probability("momentum", momentum, "pass the share of the old target to keep, e.g. 0.9")
    probs = torch.softmax(at_least_float32(logits.detach()), dim=-1)
    return momentum * at_least_float32(soft_targets.detach()) + (1 - momentum) * probs
