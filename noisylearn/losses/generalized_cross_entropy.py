"""Generalized cross-entropy (Zhang & Sabuncu, NeurIPS 2018): between cross-entropy and the mean absolute error.

The truncated form leaves out samples whose given label the network finds unlikely. Which ones is decided now and then
(`truncation_mask`), held in between, and passed to `truncated_generalized_cross_entropy`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_exponent, check_number
from noisylearn.losses.cross_entropy import cross_entropy


def generalized_cross_entropy(logits: Tensor, targets: Tensor, q: float = 0.7) -> Tensor:
    """Return ``(1 - p_y^q) / q``, one value per sample.

    For ``q`` to 0 it goes to cross-entropy, for ``q = 1`` it is `mean_absolute_error`. ``p_y^q`` is computed as
    ``exp(-q * cross_entropy)``, whose slope is finite also at ``p_y = 0``; reference codes clip ``p_y`` at 1e-7
    instead, which stops the gradient below.

    Source: Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018; ``q=0.7`` on CIFAR-10 and CIFAR-100.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        q: The exponent, in ``(0, 1]``.

    Returns:
        ``(B,)`` losses in ``[0, 1 / q]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``q`` is not a number.
        ValueError: A shape does not fit, or ``q`` is outside ``(0, 1]``.

    Example:
        >>> generalized_cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]))
        tensor([0.5492, 1.4286])
    """
    q = check_exponent("q", q)
    return (1 - torch.exp(-q * cross_entropy(logits, targets))) / q


def truncation_mask(logits: Tensor, targets: Tensor, k: float = 0.5) -> Tensor:
    """Return which samples the truncated loss keeps: those with ``p_y > k``.

    The paper refreshes it every 10 epochs, from epoch 40 on (CIFAR-10) or 80 on (CIFAR-100), and keeps all samples
    until then. The public port takes the logits of augmented images.

    Args:
        logits: ``(B, C)`` floating point, raw outputs; no gradient flows back to them.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        k: The threshold, in ``(0, 1]``; the paper's 0.5.

    Returns:
        ``(B,)`` bool, true where the sample is kept.

    Raises:
        TypeError: A dtype does not fit, or ``k`` is not a number.
        ValueError: A shape does not fit, or ``k`` is outside ``(0, 1]``.

    Example:
        >>> truncation_mask(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor([False,  True])
    """
    k = _check_threshold(k)
    return torch.exp(-cross_entropy(logits.detach(), targets)) > k


def truncated_generalized_cross_entropy(
    logits: Tensor, targets: Tensor, kept: Tensor, q: float = 0.7, k: float = 0.5
) -> Tensor:
    """Return ``(k^q - p_y^q) / q`` where the sample is kept and 0 where it is not, one value per sample.

    That is `generalized_cross_entropy` less its value at ``p_y = k``: zero at the threshold, negative by design for
    likelier labels. With ``kept = truncation_mask(logits, targets, k)`` at every step it is the paper's truncated
    loss up to a constant; the paper optimizes with a mask that is refreshed every 10 epochs.

    Source: Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018; ``q=0.7`` and ``k=0.5`` on CIFAR-10 and CIFAR-100. The public port divides by the batch
    size, pruned samples included; reduce as you like.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        kept: ``(B,)`` bool, from `truncation_mask`.
        q: The exponent, in ``(0, 1]``.
        k: The threshold with which ``kept`` was made, in ``(0, 1]``.

    Returns:
        ``(B,)`` losses in ``[(k^q - 1) / q, k^q / q]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``q`` or ``k`` is not a number.
        ValueError: A shape does not fit, or ``q`` or ``k`` is outside ``(0, 1]``.

    Example:
        >>> logits, targets = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1])
        >>> truncated_generalized_cross_entropy(logits, targets, truncation_mask(logits, targets))
        tensor([ 0.0000, -0.2679])
    """
    k = _check_threshold(k)
    loss = generalized_cross_entropy(logits, targets, q)
    if kept.dtype != torch.bool:
        raise TypeError(f"`kept` must be bool, got {kept.dtype}: pass what `truncation_mask` returned")
    if kept.shape != targets.shape:
        found = f"got {tuple(kept.shape)} for targets of shape {tuple(targets.shape)}"
        raise ValueError(f"`kept` must be (B,), {found}: pass the rows of this batch's samples")
    return (loss - (1 - math.pow(k, q)) / q).where(kept, 0.0)


def _check_threshold(k: float) -> float:
    return check_number("k", k, "in (0, 1]", lambda v: 0 < v <= 1, "pass 0.5, the paper's")
