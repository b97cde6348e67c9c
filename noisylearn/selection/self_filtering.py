"""Self-Filtering's rule: what a few epochs' predictions say of a label (Wei et al., ECCV 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


def label_confidence(probs: Tensor, targets: Tensor) -> Tensor:
    """Return the probability of each label where it is the prediction, and 0 where it is not.

    Args:
        probs: ``(B, C)`` floating point.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.

    Returns:
        ``(B,)`` of the dtype of ``probs``.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> label_confidence(torch.tensor([[0.7, 0.3], [0.6, 0.4]]), torch.tensor([0, 1]))
        tensor([0.7000, 0.0000])
    """
    if probs.ndim != 2 or targets.shape != probs.shape[:1]:
        found = f"got {tuple(probs.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"`probs` and `targets` must be (B, C) and (B,), {found}: pass one label per row")
    highest, predicted = probs.max(dim=-1)
    return torch.where(predicted == targets, highest, 0)


def self_filtering_score(memory: Tensor) -> Tensor:
    """Return ``(sum_k r_k + steady) / (k + 1)``, from the `label_confidence` ``r`` of the last ``k`` epochs.

    A sample is steady, 1, unless its label was the prediction one epoch ago and is not any more, 0: a fluctuation, as a
    wrong label has it that the network has not memorized. Samples of a score above 0.5 are selected.

    Source: Wei et al., "Self-Filtering: A Noise-Aware Sample Selection for Label Noise with Confidence Penalization",
    ECCV 2022, in the authors' smoothed form.

    Args:
        memory: ``(N, k)`` floating point, ``k`` at least 2, the newest epoch last.

    Returns:
        ``(N,)`` in ``[0, 1]``, of the dtype of ``memory``.

    Raises:
        ValueError: It has another shape.

    Example:
        >>> self_filtering_score(torch.tensor([[0.9, 0.9], [0.9, 0.0], [0.0, 0.9], [0.0, 0.0]]))
        tensor([0.9333, 0.3000, 0.6333, 0.3333])
    """
    if memory.ndim != 2 or memory.shape[1] < 2:
        raise ValueError(f"`memory` must be (N, k) with k of at least 2, got {tuple(memory.shape)}: keep two epochs")
    fluctuates = (memory[:, -2] > memory[:, -1]) & (memory[:, -1] == 0)
    return (memory.sum(dim=1) + ~fluctuates) / (memory.shape[1] + 1)
