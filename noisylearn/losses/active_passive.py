"""Active passive losses (Ma et al., ICML 2020): a normalized, active loss plus a passive one.

A loss divided by its sum over all labels is robust to symmetric noise, but fits slowly. An *active* one (NCE, NFL)
only raises the given label; a *passive* one (the mean absolute error, reverse cross-entropy) also lowers the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_weight
from noisylearn.losses._log_probs import log_softmax_and_nll
from noisylearn.losses.cross_entropy import cross_entropy
from noisylearn.losses.symmetric_cross_entropy import LOG_ZERO, reverse_cross_entropy


def _check_two_classes(logits: Tensor) -> None:
    if logits.shape[1] < 2:
        found = f"got shape {tuple(logits.shape)}"
        raise ValueError(f"`logits` must have at least 2 classes, {found}: a normalized loss of one class is 0 / 0")


def normalized_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``log p_y / sum_k log p_k`` (NCE), one value per sample.

    Summed over all labels it is 1. It alone underfits; see `nce_rce` and `nce_mae`.

    Source: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020.

    Args:
        logits: ``(B, C)`` floating point, raw outputs, ``C`` at least 2.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.

    Returns:
        ``(B,)`` losses in ``[0, 1]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit, or there is one class only.

    Example:
        >>> normalized_cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        tensor([0.5000, 0.9437])
    """
    log_p, loss = log_softmax_and_nll(logits, targets)
    _check_two_classes(logits)
    return -loss / log_p.sum(dim=-1)


def normalized_focal_loss(logits: Tensor, targets: Tensor, gamma: float = 0.5) -> Tensor:
    """Return the focal loss ``(1 - p_y)^gamma * -log p_y`` over its sum over all labels (NFL), one value per sample.

    Summed over all labels it is 1; with ``gamma = 0`` it is `normalized_cross_entropy`.

    Source: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020; ``gamma=0.5``
    on CIFAR-10, where the authors train with 10 times this loss. Departs from their code, which holds ``(1 -
    p)^gamma`` constant in the backward pass: here the gradient is that of the formula. Where ``p`` rounds to 1, ``1 -
    p`` is held at the dtype's epsilon, since the factor's slope is infinite at 0.

    Args:
        logits: ``(B, C)`` floating point, raw outputs, ``C`` at least 2.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        gamma: The focusing exponent, at least 0.

    Returns:
        ``(B,)`` losses in ``[0, 1]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``gamma`` is not a number.
        ValueError: A shape does not fit, there is one class only, or ``gamma`` is negative or not finite.

    Example:
        >>> normalized_focal_loss(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        tensor([0.5000, 0.9785])
    """
    gamma = check_weight("gamma", gamma, "pass 0.5, the paper's")
    log_p, _ = log_softmax_and_nll(logits, targets)
    _check_two_classes(logits)
    rest = (1 - log_p.exp()).clamp_min(torch.finfo(log_p.dtype).eps)
    focal = rest.pow(gamma) * -log_p
    return focal.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1) / focal.sum(dim=-1)


def mean_absolute_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``1 - p_y``, one value per sample: half of ``sum_c |p_c - onehot(y)_c|``.

    Summed over all labels it is ``C - 1``. It alone hardly learns many classes.

    Source: Ghosh et al., "Robust Loss Functions under Label Noise for Deep Neural Networks", AAAI 2017. The factor 2
    of the sum is dropped as in Ma et al., "Normalized Loss Functions", ICML 2020, whose weights belong to this form.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.

    Returns:
        ``(B,)`` losses in ``[0, 1]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> mean_absolute_error(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]))
        tensor([0.5000, 1.0000])
    """
    return 1 - torch.exp(-cross_entropy(logits, targets))


def nce_rce(
    logits: Tensor, targets: Tensor, alpha: float = 1.0, beta: float = 1.0, log_zero: float = LOG_ZERO
) -> Tensor:
    """Return ``alpha`` times `normalized_cross_entropy` plus ``beta`` times `reverse_cross_entropy`, per sample.

    Source: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020. Published ``(alpha,
    beta)``: (1, 1), the default, on CIFAR-10; (10, 0.1) on CIFAR-100; (1, 10) on MNIST; (50, 0.1) on mini-WebVision;
    all run with code whose ``A`` is ``math.log(1e-4)``, the default (see `reverse_cross_entropy`). The authors clip the
    gradient's norm at 5 in training.

    Args:
        logits: ``(B, C)`` floating point, raw outputs, ``C`` at least 2.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        alpha: Weight of the active term, at least 0.
        beta: Weight of the passive term, at least 0.
        log_zero: ``A``, negative.

    Returns:
        ``(B,)`` losses in ``[0, alpha - A * beta]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or a weight or ``log_zero`` is not a number.
        ValueError: A shape does not fit, there is one class only, a weight is negative, or ``log_zero`` is not.

    Example:
        >>> nce_rce(torch.zeros(1, 2), torch.tensor([0]))
        tensor([5.1052])
    """
    alpha, beta = check_weight("alpha", alpha), check_weight("beta", beta)
    active = normalized_cross_entropy(logits, targets)
    return alpha * active + beta * reverse_cross_entropy(logits, targets, log_zero)


def nce_mae(logits: Tensor, targets: Tensor, alpha: float = 1.0, beta: float = 1.0) -> Tensor:
    """Return ``alpha`` times `normalized_cross_entropy` plus ``beta`` times `mean_absolute_error`, per sample.

    Source: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020. Published ``(alpha,
    beta)``: (1, 1), the default, on CIFAR-10; (10, 1) on CIFAR-100.

    Args:
        logits: ``(B, C)`` floating point, raw outputs, ``C`` at least 2.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        alpha: Weight of the active term, at least 0.
        beta: Weight of the passive term, at least 0.

    Returns:
        ``(B,)`` losses in ``[0, alpha + beta]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or a weight is not a number.
        ValueError: A shape does not fit, there is one class only, or a weight is negative.

    Example:
        >>> nce_mae(torch.zeros(1, 2), torch.tensor([0]))
        tensor([1.])
    """
    alpha, beta = check_weight("alpha", alpha), check_weight("beta", beta)
    return alpha * normalized_cross_entropy(logits, targets) + beta * mean_absolute_error(logits, targets)
