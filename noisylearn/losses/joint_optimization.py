"""The loss of Joint Optimization (Tanaka et al., CVPR 2018): soft labels, kept from collapsing into one class."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from noisylearn.losses._arguments import check_weight
from noisylearn.losses._inputs import at_least_float32, check_rows
from noisylearn.losses.cross_entropy import soft_cross_entropy


def joint_optimization(logits: Tensor, soft_targets: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``-sum_c t_c log p_c + alpha * KL(uniform || batch mean of p) + beta * entropy(p)``, one value per sample.

    Labels that follow the network's predictions can all become the same class; the second term, one number for the
    whole batch, keeps the classes predicted about equally often. The third makes each prediction confident. Computed
    from logarithms, so that a class which no sample of the batch has any probability of costs much, and not infinity.

    Source: Tanaka et al., "Joint Optimization Framework for Learning with Noisy Labels", CVPR 2018. Their code leaves
    out the constant ``-log C`` of the second term.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        soft_targets: ``(B, C)`` floating point, rows of sum 1; no gradient flows back to them.
        alpha: Weight of the second term; the authors' 1.2 (CIFAR-10, symmetric noise) or 0.8 (asymmetric).
        beta: Weight of the third; their 0.8 or 0.4.

    Returns:
        ``(B,)`` losses, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A tensor is not floating point, or a weight is not a number.
        ValueError: The shapes differ, or a weight is negative or not finite.

    Example:
        >>> import torch
        >>> logits, targets = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> joint_optimization(logits, targets, alpha=0.0, beta=0.0)
        tensor([0.0486, 3.0486])
        >>> joint_optimization(logits, targets, alpha=1.0, beta=0.0)  # one class for all costs both
        tensor([0.9040, 3.9040])
    """
    alpha, beta = check_weight("alpha", alpha), check_weight("beta", beta)
    check_rows("soft_targets", logits, soft_targets)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    batch, classes = logits.shape
    log_mean = log_p.logsumexp(dim=0) - math.log(max(batch, 1))
    uneven = -math.log(classes) - log_mean.mean()
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    return soft_cross_entropy(logits, soft_targets.detach()) + alpha * uneven + beta * entropy
