"""DISC's three groups of samples, by thresholds of their own (Li et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_probability

CLEAN, HARD, PURIFIED = 1, 2, 3
"""The groups; 0 is none of them."""


def disc_groups(
    weak: Tensor, strong: Tensor, targets: Tensor, thresholds: Tensor, sigma: float = 0.5, ceiling: float = 0.99
) -> tuple[Tensor, Tensor]:
    """Return each sample's group, and the label it is mixed with.

    A view is for the given label if its probability is above the sample's threshold for that view. Both views for it
    make the sample *clean*, one of them *hard*. A sample that no view speaks for is *purified* if the mean prediction
    is sure of some class, above ``min(mean threshold + sigma, ceiling)``; it then gets that class for a label.

    Source: Li et al., "DISC: Learning from Noisy Labels via Dynamic Instance-Specific Selection and Correction", CVPR
    2023, and the authors' code.

    Args:
        weak: ``(B, C)`` floating point, probabilities for the weak view.
        strong: ``(B, C)`` floating point, probabilities for the strong view.
        targets: ``(B,)`` integers, the given labels.
        thresholds: ``(B, 2)`` floating point, of the weak and the strong view.
        sigma: How much surer than its threshold a prediction must be to be a label.
        ceiling: The sureness that is enough in any case.

    Returns:
        ``(B,)`` int64 groups (0 none, 1 clean, 2 hard, 3 purified) and ``(B,)`` int64 labels, the given ones except
        for purified samples.

    Raises:
        ValueError: The shapes do not fit, or a number is out of range.

    Example:
        >>> weak = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
        >>> strong = torch.tensor([[0.8, 0.2], [0.3, 0.7], [0.0, 1.0]])
        >>> disc_groups(weak, strong, torch.tensor([0, 0, 0]), torch.full((3, 2), 0.4))
        (tensor([1, 2, 3]), tensor([0, 0, 1]))
    """
    check_non_negative("sigma", sigma, "pass e.g. 0.5")
    check_probability("ceiling", ceiling, "pass e.g. 0.99")
    if weak.shape != strong.shape or weak.ndim != 2 or thresholds.shape != (len(weak), 2):
        found = f"{tuple(weak.shape)}, {tuple(strong.shape)} and {tuple(thresholds.shape)}"
        raise ValueError(f"`weak` and `strong` must be (B, C) and `thresholds` (B, 2), got {found}")
    targets = targets.long()
    both = torch.stack([weak, strong], dim=1)  # (B, 2, C)
    given = both.gather(2, targets.view(-1, 1, 1).expand(-1, 2, 1)).squeeze(2)
    speak = (given > thresholds).sum(dim=1)
    sureness, predicted = both.mean(dim=1).max(dim=1)
    sure = sureness > (thresholds.mean(dim=1) + sigma).clamp(max=ceiling)
    purified = torch.where(sure, PURIFIED, 0)
    groups = torch.where(speak == 2, CLEAN, torch.where(speak == 1, HARD, purified))
    return groups, torch.where(groups == PURIFIED, predicted, targets)
