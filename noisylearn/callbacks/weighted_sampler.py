"""`WeightedSampler`: another sampler's epoch, with samples in proportion to their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def in_proportion(order: Sequence[int], weights: Tensor, generator: torch.Generator) -> list[int]:
    """Return as many indices as ``order`` has, each sample about ``weight / mean weight`` times, shuffled.

    Counts are a sample's share rounded down or up (systematic resampling: the sum is exact, and no count is off by more
    than one), so that weights of 0 and 1 leave samples out and show the others equally often.

    Args:
        order: An epoch's indices.
        weights: ``(len(order),)`` float64, finite and at least 0, not all 0: the weights of these samples.
        generator: Draws the rounding and the order.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> sorted(in_proportion([7, 8, 9, 6], torch.tensor([1.0, 0.0, 1.0, 0.0]), generator))
        [7, 7, 9, 9]
    """
    size = len(order)
    # What is rounded is shuffled first, so that it is not always the same samples that are rounded up.
    mixed = torch.randperm(size, generator=generator)
    ends = torch.cumsum(weights[mixed] * (size / weights.sum()), 0)
    ends[-1] = size
    offset = float(torch.rand(1, generator=generator))
    counts = torch.diff((ends - offset).ceil().clamp(min=0), prepend=torch.zeros(1, dtype=ends.dtype)).long()
    chosen = mixed.repeat_interleave(counts)
    chosen = chosen[torch.randperm(size, generator=generator)]
    return [order[i] for i in chosen.tolist()]


class WeightedSampler:
    """Yields what another sampler yields, in proportion to weights that may change between epochs.

    An epoch keeps its length. Where all weights are equal the sampler's own order is yielded as it is. Everything else
    (``set_epoch``, state) is forwarded to the wrapped sampler.

    Args:
        sampler: The loader's own sampler.
        weights_of: From an epoch's indices to their weights, or None where all are equal.
        generator: Called once an epoch for the generator of its draws.
        size: Samples of the dataset, for a process that has a share of them.

    Example:
        >>> weights = torch.tensor([1.0, 0.0, 0.0])
        >>> sampler = WeightedSampler([0, 1, 2], lambda rows: weights[rows], torch.Generator, 3)
        >>> list(sampler)
        [0, 0, 0]
    """

    def __init__(
        self,
        sampler: Any,
        weights_of: Callable[[Tensor], Tensor | None],
        generator: Callable[[], torch.Generator],
        size: int,
    ) -> None:
        self.wrapped, self._size = sampler, size
        self._weights_of, self._generator = weights_of, generator

    def __iter__(self) -> Iterator[int]:
        order = [int(index) for index in self.wrapped]
        weights = self._weights_of(torch.tensor(order))
        if weights is None or not order:
            return iter(order)
        if not bool(weights.any()):  # all of this process's share is left out: it draws from the others'
            everyone = torch.arange(self._size)
            weights = self._weights_of(everyone)
            assert weights is not None
            return iter(in_proportion(everyone.tolist(), weights.double(), self._generator())[: len(order)])
        return iter(in_proportion(order, weights.double(), self._generator()))

    def __len__(self) -> int:
        return len(self.wrapped)

    def __getattr__(self, name: str) -> Any:
        if name == "wrapped":  # not set yet, while unpickling
            raise AttributeError(name)
        return getattr(self.wrapped, name)
