"""The loss of CORES² (Cheng et al., ICLR 2021): cross-entropy less what it costs to be sure of any label."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_weight
from noisylearn.losses._log_probs import log_softmax_and_nll

_FLOOR = 1e-8
"""Added to each probability in the subtracted term, as in the authors' code: it bounds the loss from below."""


def cores(logits: Tensor, targets: Tensor, prior: Tensor, beta: float = 2.0) -> Tensor:
    """Return ``-log p_y - beta * sum_c prior_c * -log(p_c + 1e-8)``, one value per sample.

    The subtracted term is the loss expected of a label drawn from the prior. It rewards confident predictions, so
    that the network does not settle between a right and a wrong label.

    Source: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021. In the
    authors' code ``beta`` is 0 for 10 epochs, rises to 2 over the next 30 and stays there (CIFAR-10, 100 epochs;
    the default is that last value), the learning rate is divided by ``1 + beta``, and the prior is that of the given
    labels among the samples kept. After epoch 30 it keeps the samples with ``cores(..., uniform, beta=1) <= 0``,
    whatever the prior and ``beta`` of the loss.

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
        >>> cores(logits, torch.tensor([0, 1]), uniform, beta=1.0) <= 0  # the sieve
        tensor([ True, False])
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
