"""One number that says how much a label is suspected, from the signals that are tracked anyway."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

PARTS = (("aum", False), ("wrong_events", True))
"""Scores of the core set that make up the suspicion, and whether a large value points at a wrong label."""
PACED = ("paced_error", "self_influence_normalized")
"""Either of these takes their place where it was tracked: errors weighted by the learning rate."""


def average_rank(score: Tensor, groups: Tensor | None = None) -> Tensor:
    """Return each value's place among the others, in [0, 1], equal values sharing the mean of their places.

    Args:
        score: ``(N,)`` floating point; values that are not finite have no place, and get NaN.
        groups: ``(N,)`` integers, also as floating point; a value's place is then among those of its own group. By
            default among all.

    Returns:
        ``(N,)`` float32: 0 for the smallest, 1 for the largest.

    Example:
        >>> score = torch.tensor([3.0, 1.0, float("nan"), 3.0, 2.0])
        >>> average_rank(score).tolist()
        [0.8333333134651184, 0.0, nan, 0.8333333134651184, 0.3333333432674408]
        >>> average_rank(score, groups=torch.tensor([0, 0, 0, 1, 1])).tolist()
        [1.0, 0.0, nan, 1.0, 0.0]
    """
    known = score.isfinite()
    distinct, order = torch.unique(score[known], return_inverse=True)
    group = torch.zeros_like(order) if groups is None else groups[known].long()
    key = group * len(distinct) + order
    ordered = key.sort().values
    below = torch.searchsorted(ordered, key)
    up_to = torch.searchsorted(ordered, key, right=True)
    first = torch.searchsorted(ordered, group * len(distinct))
    end = torch.searchsorted(ordered, (group + 1) * len(distinct))
    places = (below + up_to - 1 - 2 * first).float() / 2 / (end - first - 1).clamp(min=1)
    return torch.full_like(score, torch.nan, dtype=torch.float32).masked_scatter(known, places)


def suspicion(scores: Mapping[str, Tensor]) -> Tensor:
    """Return how much each given label is suspected, in [0, 1]: a mean of ranks.

    It is the rank in ``paced_error`` (`PacedError`, which `noisylearn.SignalTracker` tracks by default), else in
    ``self_influence_normalized`` (`SelfInfluence`): squared errors weighted by the learning rate, so that in a schedule
    that ends low the time before labels are memorized counts most. Where neither is there, or it is the same for all
    samples (the last layer's rate was 0), it is the mean of the ranks in AUM, the best while labels are not memorized,
    and in wrong events, which lasts after that.
    Where the given labels are known, each rank is the mean of the place among all samples and of that among the samples
    with the same given label: some classes are hard altogether. No weights are fitted, and no true label is looked at.

    Source: ours; what it is made of was chosen on one draw of Fashion-MNIST. ``benchmarks/detection`` compares it with
    every single signal, on other draws and other data.

    Args:
        scores: ``(N,)`` tensors by name: what `SignalSet.compute` or `noisylearn.SignalTracker.scores` returns. Used
            are ``"paced_error"`` or ``"self_influence_normalized"`` if they are there, else ``"aum"`` and
            ``"wrong_events"``; and ``"given"``.

    Returns:
        ``(N,)`` float32, NaN for samples that were never seen.

    Raises:
        KeyError: Neither was tracked.

    Example:
        >>> scores = {"aum": torch.tensor([2.0, -1.0, 1.0]), "wrong_events": torch.tensor([0.0, 5.0, 1.0])}
        >>> suspicion(scores).tolist()
        [0.0, 1.0, 0.5]
        >>> suspicion(scores | {"given": torch.tensor([0.0, 1.0, 0.0])}).tolist()
        [0.0, 0.5, 0.75]
    """
    paced = [((name, True),) for name in PACED if name in scores]
    core = [PARTS] if all(name in scores for name, _ in PARTS) else []
    telling = [part for part in paced if _tells_apart(scores[part[0][0]])]
    parts = next(iter([*telling, *core, *paced]), PARTS)
    missing = [name for name, _ in parts if name not in scores]
    if missing:
        needed = ", ".join(name for name, _ in PARTS)
        raise KeyError(f"`scores` must have {needed}, missing {missing}: track the core signals")
    turned = [scores[name] if noisier else -scores[name] for name, noisier in parts]
    ranks = [average_rank(score) for score in turned]
    if "given" in scores:
        ranks += [average_rank(score, scores["given"]) for score in turned]
    return torch.stack(ranks).mean(0)


def _tells_apart(score: Tensor) -> bool:
    known = score[score.isfinite()]
    return len(known) < 2 or bool(known.min() < known.max())
