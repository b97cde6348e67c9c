"""One number that says how much a label is suspected, from the signals that are tracked anyway."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

PARTS = (("aum", False), ("el2n", True), ("wrong_events", True))
"""Scores that make up the suspicion, and whether a large value points at a wrong label; all of the core set."""


def average_rank(score: Tensor) -> Tensor:
    """Return each value's place among the others, in [0, 1], equal values sharing the mean of their places.

    Args:
        score: ``(N,)`` floating point; NaN values have no place, and get NaN.

    Returns:
        ``(N,)`` float32: 0 for the smallest, 1 for the largest.

    Example:
        >>> average_rank(torch.tensor([3.0, 1.0, float("nan"), 3.0, 2.0])).tolist()
        [0.8333333134651184, 0.0, nan, 0.8333333134651184, 0.3333333432674408]
    """
    known = score.isfinite()
    values = score[known]
    ordered = values.sort().values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    places = (below + up_to - 1).float() / 2 / max(len(values) - 1, 1)
    return torch.full_like(score, torch.nan, dtype=torch.float32).masked_scatter(known, places)


def suspicion(scores: Mapping[str, Tensor]) -> Tensor:
    """Return how much each given label is suspected, in [0, 1]: the mean rank in AUM, EL2N and wrong events.

    Which single signal finds most wrong labels depends on the noise: margins do best where wrong labels are spread over
    all classes, the error norm where a class is mistaken for one other, and the count of wrong events is the one that
    lasts once labels are memorized. Their ranks are averaged, without weights and without a look at any true label.

    Source: ours; that the best signal changes with the noise is measured by Traintools' PTDB-1 benchmark, and in
    ``benchmarks/detection``.

    Args:
        scores: ``(N,)`` tensors by name, of which ``"aum"``, ``"el2n"`` and ``"wrong_events"`` are used: what
            `SignalSet.compute` or `noisylearn.SignalTracker.scores` returns.

    Returns:
        ``(N,)`` float32, NaN for samples that were never seen.

    Raises:
        KeyError: One of the three was not tracked.

    Example:
        >>> aum, el2n = torch.tensor([2.0, -1.0, 1.0]), torch.tensor([0.1, 1.3, 0.2])
        >>> suspicion({"aum": aum, "el2n": el2n, "wrong_events": torch.tensor([0.0, 5.0, 1.0])}).tolist()
        [0.0, 1.0, 0.5]
    """
    missing = [name for name, _ in PARTS if name not in scores]
    if missing:
        raise KeyError(
            f"`scores` must have {', '.join(n for n, _ in PARTS)}, missing {missing}: track the core signals"
        )
    ranks = [average_rank(scores[name] if noisier else -scores[name]) for name, noisier in PARTS]
    return torch.stack(ranks).mean(0)
