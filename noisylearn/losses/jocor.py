"""The joint loss of JoCoR (Wei et al., CVPR 2020): two networks learn the labels and agree with each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._inputs import at_least_float32, check_logits
from noisylearn.losses.cross_entropy import cross_entropy


def symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    """Return ``KL(p1 || p2) + KL(p2 || p1) = sum_c (p1_c - p2_c) (log p1_c - log p2_c)``, one value per sample.

    The gradient reaches both predictions. Computed from log-probabilities, in float32 also under autocast.

    Args:
        first: ``(B, C)`` floating point, raw outputs of one network.
        second: ``(B, C)`` floating point, raw outputs of the other.

    Returns:
        ``(B,)`` divergences in nats, at least 0, float32, or float64 where an argument is float64.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ, or are not ``(B, C)``.

    Example:
        >>> import torch
        >>> symmetric_kl(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
        tensor([0.0000, 0.9242])
    """
    check_logits(first)
    check_logits(second)
    if first.shape != second.shape:
        found = f"got {tuple(second.shape)} beside {tuple(first.shape)}"
        raise ValueError(f"`second` must have the shape of `first`, {found}: pass both networks' logits of one batch")
    one, two = (F.log_softmax(at_least_float32(logits), dim=-1) for logits in (first, second))
    return ((one.exp() - two.exp()) * (one - two)).sum(dim=-1)


def jocor(first: Tensor, second: Tensor, targets: Tensor, lam: float) -> Tensor:
    """Return ``(1 - lam) * (CE(z1, y) + CE(z2, y)) + lam * symmetric_kl(z1, z2)``, one value per sample.

    It is small where both networks predict the given label, which two networks seldom do for a wrong one; JoCoR learns
    from the smallest of a batch.

    Source: Wei et al., "Combating Noisy Labels by Agreement: A Joint Training Method with Co-Regularization", CVPR
    2020. ``lam`` of the authors' instructions: CIFAR-10 0.9 (symmetric 20 % and 50 %, asymmetric 40 %) and 0.65
    (symmetric 80 %), CIFAR-100 0.85, MNIST 0.95; the default of their code is 0.1.

    Args:
        first: ``(B, C)`` floating point, raw outputs of one network.
        second: ``(B, C)`` floating point, raw outputs of the other.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        lam: Share of the agreement, in ``[0, 1]``.

    Returns:
        ``(B,)`` losses, float32, or float64 where logits are float64.

    Raises:
        TypeError: A dtype does not fit, or ``lam`` is not a number.
        ValueError: A shape does not fit, or ``lam`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> one, two = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> jocor(one, two, torch.tensor([0, 0]), lam=0.5)
        tensor([0.3133, 1.2754])
    """
    lam = check_probability("lam", lam, "pass the share of the agreement, e.g. 0.9")
    given = cross_entropy(first, targets) + cross_entropy(second, targets)
    return (1 - lam) * given + lam * symmetric_kl(first, second)
