"""`Curriculum`: the samples of best score first, then all."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, check_probability
from noisylearn.callbacks.sample_weighting import SampleWeighting


class Curriculum(SampleWeighting):
    """Learns from the least suspicious part of the samples, which grows by equal steps until it is all of them.

    After one epoch of all samples (to measure), ``start`` of those seen are learned from, and more each epoch; from
    ``full_epoch`` on all are. How the others are left out is told at `SamplePruner`.

    Source: the easy-to-hard order of Bengio et al., "Curriculum Learning", ICML 2009, with the linear pace of Hacohen
    and Weinshall, "On The Power of Curriculum Learning in Training Deep Networks", ICML 2019, and a score of the run
    itself in place of a teacher's.

    Args:
        score: Name of a tracked score, e.g. ``"el2n"``.
        full_epoch: First epoch of all samples again.
        start: Part that is learned from first, in (0, 1].
        start_epoch: First epoch of a part.
        seed: Seed of a sampler's draws.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> curriculum = Curriculum("el2n", full_epoch=3, start=0.5)
        >>> [int(curriculum.weigh(torch.arange(8.0), epoch).sum()) for epoch in (1, 2, 3)]
        [4, 6, 8]
    """

    def __init__(self, score: str, full_epoch: int, start: float = 0.3, start_epoch: int = 1, seed: int = 0) -> None:
        super().__init__(score, start_epoch, 1, seed)
        self.full_epoch = check_positive_int("full_epoch", full_epoch)
        if full_epoch <= start_epoch:
            raise ValueError(f"`full_epoch` must be after `start_epoch` ({start_epoch}), got {full_epoch}")
        self.start = check_probability("start", start, "pass the part to learn from first, e.g. 0.3")
        if start == 0:
            raise ValueError("`start` must be above 0, got 0: there would be nothing to learn from")

    def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
        """Return 1 for the least suspicious part, 0 for the others."""
        way = min((epoch - self.start_epoch) / (self.full_epoch - self.start_epoch), 1.0)
        kept = max(int((self.start + (1 - self.start) * way) * len(suspicion)), 1)
        order = suspicion.argsort(stable=True)
        return torch.zeros_like(suspicion).index_fill(0, order[:kept], 1.0)
