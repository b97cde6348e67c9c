"""UNICON's selection: equally many labels of every class, those that predictions are nearest to."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def label_divergence(probs: Tensor, targets: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of a prediction and its label, one value per sample.

    ``1/2 KL(p || m) + 1/2 KL(e_y || m)`` with ``m = (p + e_y) / 2``, in nats. It depends on ``p_y`` alone: ``log 2 +
    1/2 (p_y log p_y - (1 + p_y) log(1 + p_y))``.

    Source: Karim et al., "UNICON: Combating Label Noise Through Uniform Selection and Contrastive Learning", CVPR 2022.

    Args:
        probs: ``(B, C)`` floating point, probabilities.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.

    Returns:
        ``(B,)`` in ``[0, log 2]``, at least float32.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> label_divergence(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 0, 0]))
        tensor([0.0000, 0.2158, 0.6931])
    """
    if probs.ndim != 2 or targets.shape != probs.shape[:1]:
        found = f"got {tuple(probs.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"`probs` must be (B, C) and `targets` (B,), {found}: pass one label per prediction")
    wide = probs.to(torch.promote_types(probs.dtype, torch.float32))
    p = wide.gather(1, targets.long().unsqueeze(1)).squeeze(1)
    return (math.log(2) + (torch.xlogy(p, p) - (1 + p) * torch.log1p(p)) / 2).clamp(min=0)


def uniform_selection(divergence: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Return the mask of the labels to keep: as many as are nearer than the mean, but equally many of every class.

    If ``n`` samples have less than the mean divergence, the ``n // C`` of least divergence are kept of every class, all
    of a class that has not as many. Easy classes would take the place of hard ones otherwise.

    Source: Karim et al., "UNICON", CVPR 2022, and the authors' code. It lowers the mean where that is above 0.7; in
    nats, as the code has it, it never is.

    Args:
        divergence: ``(N,)`` floating point; NaN for samples that there is nothing known of, which are not kept.
        targets: ``(N,)`` integers in ``[0, C)``, the given labels.
        num_classes: ``C``.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> divergence = torch.tensor([0.1, 0.2, 0.1, 0.3, 0.6, 0.7])
        >>> uniform_selection(divergence, torch.tensor([0, 0, 0, 0, 1, 1]), num_classes=2)
        tensor([ True, False,  True, False,  True,  True])
    """
    if divergence.shape != targets.shape or divergence.ndim != 1:
        found = f"got {tuple(divergence.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"`divergence` and `targets` must be (N,), {found}: pass one label per sample")
    known = ~divergence.isnan()
    per_class = (divergence < divergence[known].mean()).sum() // num_classes
    order = torch.where(known, divergence, torch.inf).argsort(stable=True)
    labels = torch.where(known, targets.long(), num_classes)  # the unknown are a class of their own, the last
    order = order[labels[order].argsort(stable=True)]  # by class, and in it from the nearest on
    counts = torch.bincount(labels, minlength=num_classes + 1)
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[labels[order]]
    kept = torch.empty_like(known).scatter(0, order, place < per_class)
    return kept & known
