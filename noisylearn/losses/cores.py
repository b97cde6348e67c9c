"""The loss of CORES² (Cheng et al., ICLR 2021): cross-entropy less what it costs to be sure of any label."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.losses._arguments import check_weight
from noisylearn.losses._inputs import check_logits
from noisylearn.losses._log_probs import log_softmax_and_nll

_FLOOR = 1e-8
"""Added to each probability in the subtracted term, as in the authors' code: it bounds the loss from below."""


def cores(logits: Tensor, targets: Tensor, prior: Tensor, beta: float = 2.0) -> Tensor:
    """Return ``-log p_y - beta * sum_c prior_c * -log(p_c + 1e-8)``, one value per sample.

    The subtracted term is the loss expected of a label drawn from the prior. It rewards confident predictions, so
    that the network does not settle between a right and a wrong label.

    Source: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021. In the
    authors' code ``beta`` grows as `cores_beta` has it, the learning rate is divided by ``1 + beta``, and the prior is
    that of the given labels among the samples that `cores_sieve` kept in the epoch before.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        prior: ``(C,)`` floating point, how frequent each given label is; non-negative, of sum 1 (not checked).
        beta: Weight of the subtracted term, at least 0.

    Returns:
        ``(B,)`` losses, often negative, at least ``beta * log(1e-8)``; float32, or float64 where an argument is
        float64.

    Raises:
        TypeError: A dtype does not fit, or ``beta`` is not a number.
        ValueError: A shape does not fit, or ``beta`` is negative or not finite.

    Example:
        >>> logits, uniform = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.full((2,), 0.5)
        >>> cores(logits, torch.tensor([0, 1]), uniform)
        tensor([-3.0486, -0.0486])
    """
    beta = check_weight("beta", beta)
    log_p, loss = log_softmax_and_nll(logits, targets)
    if not prior.is_floating_point():
        raise TypeError(f"`prior` must be floating point, got {prior.dtype}: pass one probability per class")
    if prior.shape != logits.shape[1:]:
        found = f"got {tuple(prior.shape)} for logits of shape {tuple(logits.shape)}"
        raise ValueError(f"`prior` must be (C,), {found}: pass one probability per class")
    expected = -(prior * torch.log(log_p.exp() + _FLOOR)).sum(dim=-1)
    return loss - beta * expected


def cores_sieve(logits: Tensor, targets: Tensor) -> Tensor:
    """Return which samples CORES² keeps: those whose cross-entropy is at most the mean over all labels.

    That is ``cores(..., uniform prior, beta=1) <= 0``, whatever the prior and ``beta`` of the loss, as in the authors'
    code. The given label is then likelier than the geometric mean of all.

    Args:
        logits: ``(B, C)`` floating point, raw outputs; no gradient flows back to them.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.

    Returns:
        ``(B,)`` bool, true where the sample is kept; false where its loss is NaN.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> cores_sieve(torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1]))
        tensor([ True, False])
    """
    check_logits(logits)
    classes = logits.shape[1]
    uniform = torch.full((classes,), 1 / classes, dtype=torch.float32, device=logits.device)
    return cores(logits.detach(), targets, uniform, beta=1.0) <= 0


def cores_beta(epoch: int, beta: float = 2.0, warmup: int = 10, rise: int = 30) -> float:
    """Return the weight of the subtracted term in an epoch.

    It is 0 for ``warmup`` epochs, rises in equal steps from 0 to ``beta`` over the next ``rise``, and stays there. The
    defaults are the authors', whose training has 100 epochs.

    Args:
        epoch: The epoch, from 0.
        beta: The last value, at least 0.
        warmup: Epochs of plain cross-entropy, at least 0.
        rise: Epochs of the rise, at least 1; the first of them still has 0, the last has ``beta``.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: An argument is out of range.

    Example:
        >>> [cores_beta(e, beta=2.0, warmup=2, rise=3) for e in range(6)]
        [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]
    """
    beta = check_weight("beta", beta)
    warmup = int(check_weight("warmup", warmup, "pass the epochs of cross-entropy, e.g. 10"))
    rise = check_positive_int("rise", rise, "pass the epochs of the rise, e.g. 30")
    risen = epoch - warmup
    if risen >= rise:
        return beta
    return beta * max(risen, 0) / max(rise - 1, 1)
