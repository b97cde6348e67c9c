"""Nearest neighbours within one set of rows, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int


def nearest(features: Tensor, k: int, chunk: int = 2048) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield, for ``chunk`` rows at a time, their ``k`` nearest other rows by Euclidean distance, nearest first.

    A tile of ``(chunk, chunk)`` distances is the largest thing made, however many rows there are. A row is never its
    own neighbour; its duplicates are. Which of equally near rows come is not defined.

    Args:
        features: ``(N, ...)`` floating point, flattened to ``(N, d)``; computed in float32 (float64 stays).
        k: Neighbours of each row, below N.
        chunk: Rows of a tile.

    Returns:
        The rows as a slice, their squared distances ``(rows, k)`` and their neighbours ``(rows, k)`` int64.

    Raises:
        ValueError: There are not more than ``k`` rows.

    Example:
        >>> for rows, squared, index in nearest(torch.tensor([[0.0], [1.0], [3.0]]), k=1):
        ...     print(squared[:, 0].tolist(), index[:, 0].tolist())
        [1.0, 1.0, 4.0] [1, 0, 1]
    """
    check_positive_int("k", k, "the number of neighbours that vote, e.g. 10")
    check_positive_int("chunk", chunk)
    if len(features) <= k:
        raise ValueError(f"`k` must be below the number of samples, which is {len(features)}, got {k}: ask for fewer")
    return _tiles(features, k, chunk)


def _tiles(features: Tensor, k: int, chunk: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    x = features.detach().flatten(1)
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    x = x - x.mean(0)  # no distance changes, and float32 loses fewer digits
    half = x.square().sum(1) / 2
    starts = range(0, len(x), chunk)
    for start in starts:
        query = x[start : start + chunk]
        best, index = query.new_empty(len(query), 0), torch.empty(len(query), 0, dtype=torch.int64, device=x.device)
        for other in starts:
            bank = x[other : other + chunk]
            with torch.autocast(x.device.type, enabled=False):
                # Half of |q|^2 - |q - b|^2: the nearer the larger, and one product.
                closeness = query @ bank.T - half[other : other + chunk]
            if other == start:
                closeness.fill_diagonal_(-torch.inf)
            closeness, place = closeness.topk(min(k, len(bank)), 1)
            best, index = torch.cat([best, closeness], 1), torch.cat([index, place + other], 1)
            best, kept = best.topk(min(k, best.shape[1]), 1)
            index = index.gather(1, kept)
        rows = slice(start, start + len(query))
        yield rows, (2 * (half[rows, None] - best)).clamp(min=0), index


def votes(labels: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Return the share of each class in a vote, ``(rows, C)``.

    Args:
        labels: ``(rows, k)`` int64 classes voted for.
        weights: ``(rows, k)`` positive weights.
        num_classes: Number of classes ``C``.

    Example:
        >>> votes(torch.tensor([[0, 2, 2]]), torch.tensor([[2.0, 1.0, 1.0]]), num_classes=3).tolist()
        [[0.5, 0.0, 0.5]]
    """
    shares = weights.new_zeros(len(labels), num_classes).scatter_add_(1, labels, weights)
    return shares / weights.sum(1, keepdim=True)
