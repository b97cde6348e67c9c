"""`Planted`: which labels were replaced on purpose, and how to take that back in what is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Planted:
    """Rows that were trained on ``(given + shift) % num_classes``.

    Args:
        rows: ``(K,)`` int64.
        shift: ``(K,)`` int64, from 1 to ``num_classes - 1``.
        num_classes: Number of classes.

    Example:
        >>> planted = Planted(torch.tensor([1]), torch.tensor([2]), num_classes=3)
        >>> scores = {"given": torch.tensor([0.0, 1.0]), "aum": torch.tensor([3.0, -4.0])}
        >>> {name: score.tolist() for name, score in planted.taken_back(scores).items()}
        {'given': [0.0, 2.0], 'aum': [3.0, nan]}
    """

    rows: Tensor
    shift: Tensor
    num_classes: int

    def taken_back(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the scores with the given labels restored; what was measured against the others is NaN.

        Args:
            scores: ``(N,)`` tensors by name, ``"given"`` among them.
        """
        rows = self.rows.to(scores["given"].device)
        out = {name: score.index_fill(0, rows, torch.nan) for name, score in scores.items()}
        shown = scores["given"][rows]
        out["given"][rows] = (shown - self.shift.to(shown)) % self.num_classes  # NaN, where unseen, stays
        return out
