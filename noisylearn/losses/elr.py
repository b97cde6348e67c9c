"""Early-learning regularization (Liu et al., NeurIPS 2020): the losses and the step of their targets.

A running average ``t`` of each sample's own predictions keeps what the network believed before it began to memorize
labels. The term ``log(1 - <t, p>)`` falls as the prediction ``p`` agrees with ``t``; its gradient revives the samples
whose label fits ``t`` and cancels the pull of those whose label does not.

The functions hold no state. The order in a step is the reference code's: update the target first, then use the new
one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._inputs import at_least_float32, check_rows
from noisylearn.losses.cross_entropy import cross_entropy, soft_cross_entropy

_FLOOR = 1e-4
"""Probabilities are kept in ``[1e-4, 1 - 1e-4]``, as in the reference code: the term stays above log(1e-4)."""


def _clamped_probs(logits: Tensor) -> Tensor:
    return torch.softmax(at_least_float32(logits), dim=-1).clamp(_FLOOR, 1 - _FLOOR)


def elr_regularizer(logits: Tensor, ema_targets: Tensor) -> Tensor:
    """Return ``log(1 - <t, p>)``, one value per sample.

    It is 0 for an empty target and the more negative the better ``p`` agrees with ``t``. ``p`` is the softmax clamped
    to ``[1e-4, 1 - 1e-4]`` and not renormalised; no gradient passes where the clamp holds. ``t`` is a constant.
    Computed in float32 also under autocast: in bfloat16 ``1 - <t, p>`` rounds to 0.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        ema_targets: ``(B, C)`` floating point, rows of non-negative numbers with a sum of at most 1.

    Returns:
        ``(B,)`` values in ``[log(1e-4), 0]``, float32, or float64 where an argument is float64.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ.

    Example:
        >>> elr_regularizer(torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [0.5, 0.5]]))
        tensor([-0.0000, -0.6931])
    """
    check_rows("ema_targets", logits, ema_targets)
    agreement = (at_least_float32(ema_targets.detach()) * _clamped_probs(logits)).sum(dim=-1)
    return torch.log1p(-agreement)


def elr_target_update(ema_targets: Tensor, logits: Tensor, beta: float) -> Tensor:
    """Return ``beta * t + (1 - beta) * p / sum(p)``, where ``p`` is the clamped softmax, detached.

    Targets start at zero (not uniform, not one-hot), as in the reference code: after ``k`` steps a row sums to ``1 -
    beta**k``, so that the term is weak while little is known.

    Args:
        ema_targets: ``(B, C)`` floating point, the rows of the batch's samples.
        logits: ``(B, C)`` floating point, raw outputs; no gradient flows back to them.
        beta: Share of the old target kept, in ``[0, 1]``; the paper's 0.7 (CIFAR-10, symmetric noise) or 0.9.

    Returns:
        ``(B, C)`` new rows, float32, or float64 where an argument is float64. ``ema_targets`` is not changed.

    Raises:
        TypeError: A tensor is not floating point or ``beta`` not a number.
        ValueError: The shapes differ, or ``beta`` is outside ``[0, 1]``.

    Example:
        >>> elr_target_update(torch.zeros(1, 2), torch.zeros(1, 2), beta=0.7)
        tensor([[0.1500, 0.1500]])
    """
    check_rows("ema_targets", logits, ema_targets)
    check_probability("beta", beta, "pass the share of the old target to keep, e.g. 0.7")
    p = _clamped_probs(logits.detach())
    return beta * at_least_float32(ema_targets.detach()) + (1 - beta) * (p / p.sum(dim=-1, keepdim=True))


def elr(logits: Tensor, targets: Tensor, ema_targets: Tensor, lam: float) -> Tensor:
    """Return cross-entropy plus ``lam`` times `elr_regularizer`, one value per sample.

    Strongly negative values are normal: with ``lam=3`` the bound is ``3 * log(1e-4) = -27.6``. The cross-entropy term
    uses the unclamped log-softmax, the regularizer the clamped probabilities, both as in the reference code.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        ema_targets: ``(B, C)`` floating point, already updated with these logits (`elr_target_update`).
        lam: Weight of the regularizer; the paper's 3 (CIFAR-10, symmetric), 1 (asymmetric) or 7 (CIFAR-100).

    Returns:
        ``(B,)`` losses, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([0])
        >>> ema = elr_target_update(torch.zeros(1, 2), logits, beta=0.0)
        >>> elr(logits, targets, ema, lam=1.0)
        tensor([0.])
    """
    return cross_entropy(logits, targets) + lam * elr_regularizer(logits, ema_targets)


def elr_plus(logits: Tensor, labels: Tensor, ema_targets: Tensor, lam: float, reweight: bool = False) -> Tensor:
    """Return soft cross-entropy plus ``lam`` times `elr_regularizer`, one value per (mixed) sample.

    Labels and targets are mixed as the inputs were. ``reweight`` takes ``y t / sum_c y_c t_c`` for the labels ``y``:
    of two mixed labels, the one that the target believes in counts more. The reference code does so for 100 classes.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        labels: ``(B, C)`` floating point, the given labels, mixed.
        ema_targets: ``(B, C)`` floating point, already updated, and mixed alike; constants.
        lam: Weight of the regularizer.
        reweight: Whether to weight the labels by the targets; a label that has nothing of the target counts nothing.

    Returns:
        ``(B,)`` losses, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> logits, mixed, ema = torch.zeros(1, 2), torch.tensor([[0.7, 0.3]]), torch.tensor([[0.5, 0.5]])
        >>> elr_plus(logits, mixed, ema, lam=1.0)
        tensor([0.])
    """
    check_rows("labels", logits, labels)
    check_rows("ema_targets", logits, ema_targets)
    if reweight:
        labels = at_least_float32(labels) * at_least_float32(ema_targets.detach())
        labels = labels / labels.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(labels.dtype).tiny)
    return soft_cross_entropy(logits, labels) + lam * elr_regularizer(logits, ema_targets)
