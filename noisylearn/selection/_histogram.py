"""Per-sample losses as a histogram: all that a mixture fit sees of them.

Losses are rounded to a grid of 2**18 points and counted; then neighbouring points are joined to at most 4096 bins, each
with the number, the sum and the sum of squares of its losses. Lost are the rounding, and which of a bin's losses is
which. Counts are integers, so that the order of the samples does not change a bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._checks import check_probability

_POINTS = 2**18
_ENOUGH = 2**16
"""With fewer grid points between the clip limits the grid is laid anew, between the limits."""
_BINS = 2**12
_PIECE = 2**18
"""Losses worked on at a time: few enough to stay in a CPU's cache from one operation to the next."""


@dataclass(frozen=True)
class LossHistogram:
    """Losses clipped to ``[low, high]`` and normalised to ``[0, 1]``, in bins.

    Args:
        low: The loss that became 0.
        high: The loss that became 1.
        moments: ``(3, K)`` float64 on the CPU: how many losses each bin holds, their sum and the sum of their squares.
            Bins stand in the order of their losses, and none is empty.
    """

    low: float
    high: float
    moments: Tensor


def check_losses(losses: Tensor) -> None:
    """Refuse losses that are not a floating vector; reads no value, so no device waits.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are not 1-D.
    """
    if not losses.is_floating_point():
        raise TypeError(f"`losses` must be floating point, got {losses.dtype}: pass unreduced per-sample losses")
    if losses.ndim != 1:
        raise ValueError(f"`losses` must be (N,), got shape {tuple(losses.shape)}: pass one loss per sample")


def pieces(losses: Tensor) -> Iterator[Tensor]:
    """Yield the losses piece by piece, detached, in float64: steep posteriors are made of differences."""
    return (piece.double() for piece in torch.split(losses.detach(), _PIECE))


def loss_histogram(losses: Tensor, clip: float, drop: bool = False, margin: float = 0.0) -> LossHistogram | None:
    """Return the histogram of the losses that are neither NaN nor infinite, or None where they are all one value.

    Args:
        losses: ``(N,)`` floating point.
        clip: Share of the losses that lie beyond the limit at each end, in ``[0, 0.5)``: the ``int(clip * N)``
            smallest, and as many of the largest.
        drop: Whether those are left out, rather than moved to the limit.
        margin: Normalised losses are kept in ``[margin, 1 - margin]``.

    Raises:
        TypeError: ``losses`` is not floating point, or ``clip`` not a number.
        ValueError: ``losses`` is not 1-D, or ``clip`` is out of range.
    """
    check_losses(losses)
    if check_probability("clip", clip, "pass the share to clip at each end, e.g. 0.005") >= 0.5:
        raise ValueError(f"`clip` must be below 0.5, got {clip}: half at each end leaves nothing, pass e.g. 0.005")
    low, high = _range(losses)
    if not isfinite(high - low):  # NaN takes over the range, so nothing is looked for where it did not
        losses = losses[losses.isfinite()]
        low, high = _range(losses)
    outside = int(clip * losses.numel())
    limits = torch.tensor([outside, losses.numel() - 1 - outside])
    dtype = torch.finfo(torch.promote_types(losses.dtype, torch.float32))
    while high - low > max(dtype.tiny, dtype.eps * max(abs(low), abs(high))):
        counts = _count(losses, low, high)
        first, last = torch.searchsorted(counts.cumsum(0), limits, right=True).tolist()
        step = (high - low) / (_POINTS - 1)
        if last - first >= _ENOUGH:
            return LossHistogram(low + first * step, low + last * step, _join(counts, first, last, drop, margin))
        low, high = low + (first - 1) * step, low + (last + 1) * step
    return None


def _range(losses: Tensor) -> tuple[float, float]:
    if losses.numel() == 0:
        return 0.0, 0.0
    low, high = torch.stack(losses.detach().aminmax()).tolist()
    return low, high


def _count(losses: Tensor, low: float, high: float) -> Tensor:
    """Return how many losses round to each point of the grid; those beyond its ends count for the ends."""
    counts = torch.zeros(_POINTS, dtype=torch.int64, device=losses.device)
    for piece in pieces(losses):
        points = (piece - low).div_(high - low).mul_(_POINTS - 1).round_().clamp_(0, _POINTS - 1)
        counts += torch.bincount(points.int(), minlength=_POINTS)
    return counts.cpu()


def _join(counts: Tensor, first: int, last: int, drop: bool, margin: float) -> Tensor:
    """Return the moments of bins of equal width from the first to the last of these grid points."""
    inside = counts[first : last + 1].double()
    if not drop:
        inside[0] += counts[:first].sum()
        inside[-1] += counts[last + 1 :].sum()
    x = torch.linspace(0, 1, len(inside), dtype=torch.float64).clamp_(margin, 1 - margin)
    first_moments = inside * x
    moments = torch.stack([inside, first_moments, first_moments * x])
    width = -(-len(inside) // _BINS)
    moments = F.pad(moments, (0, -len(inside) % width)).view(3, -1, width).sum(-1)
    return moments[:, moments[0] > 0]
