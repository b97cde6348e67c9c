"""The fake class of AUM as functions: which samples are probes, and what their margins say about all others."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.data import stratified_split


def choose_probes(labels: npt.NDArray[np.int64], num_probes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Choose two disjoint sets of probes, each with the classes in the proportions of the labels.

    Args:
        labels: ``(N,)`` int64 given labels.
        num_probes: Probes in each set.
        seed: Seed of the choice.

    Returns:
        Two ``(num_probes,)`` int64 tensors of sorted row numbers.

    Raises:
        ValueError: Two such sets would leave no regular sample.

    Example:
        >>> first, second = choose_probes(np.repeat([0, 1], [8, 4]), num_probes=3)
        >>> np.repeat([0, 1], [8, 4])[first].tolist(), set(first.tolist()) & set(second.tolist())
        ([0, 0, 1], set())
    """
    check_positive_int("num_probes", num_probes)
    size = len(labels)
    if 2 * num_probes >= size:
        raise ValueError(
            f"`num_probes` must leave regular samples beside two disjoint sets, got 2 x {num_probes} of {size} "
            f"samples: at most {(size - 1) // 2}"
        )
    rest, first = stratified_split(labels, num_probes / size, seed)
    _, second = stratified_split(labels[rest], num_probes / len(rest), seed)
    return torch.from_numpy(first), torch.from_numpy(rest[second])


def fake_class_threshold(probe_aum: Tensor, percentile: float = 99.0) -> Tensor:
    """Return the margin below which a regular sample looks like a probe.

    A sample is flagged where more than ``100 - percentile`` per cent of the probes have a larger AUM than it. That is
    where its AUM is below the returned value, which is always a probe's own: with ``n`` probes, the one that
    ``floor(n * (100 - percentile) / 100)`` others are above. `torch.quantile` would interpolate.

    Args:
        probe_aum: ``(n,)`` floating point AUM of the probes toward the extra class; NaN (never seen) are left out.
        percentile: In ``(0, 100]``.

    Returns:
        A scalar of the dtype of ``probe_aum``.

    Raises:
        ValueError: ``percentile`` is out of range, or no probe has an AUM.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020; the rule
    by counting is the authors' code.

    Example:
        >>> fake_class_threshold(torch.arange(200.0)), fake_class_threshold(torch.arange(99.0))
        (tensor(197.), tensor(98.))
    """
    if not 0.0 < percentile <= 100.0:
        raise ValueError(f"`percentile` must be in (0, 100], got {percentile}: the authors' is 99")
    measured = probe_aum[~probe_aum.isnan()]
    if not len(measured):
        raise ValueError("`probe_aum` must have a value that is not NaN, got none: no probe was seen in training")
    # 1e-9: 100 - 99.9 is a little less than 0.1, and a thousandth part of 1000 probes is one all the same.
    above = math.floor(len(measured) * (100.0 - percentile) / 100.0 + 1e-9)
    return measured.sort(descending=True).values[above]


def fake_class_flags(aum: Tensor, is_probe: Tensor, percentile: float = 99.0) -> tuple[Tensor, Tensor]:
    """Return each run's threshold, and the samples that are below it in every run in which they were regular.

    Args:
        aum: ``(R, N)`` floating point AUM of each run; NaN where a sample was not seen, which then has no say.
        is_probe: ``(R, N)`` bool: the sample was under the extra class in that run.
        percentile: See `fake_class_threshold`.

    Returns:
        ``(R,)`` thresholds and ``(N,)`` bool. A sample that was regular in no run, or not seen in those, is not
        flagged.

    Raises:
        ValueError: The shapes differ, or see `fake_class_threshold`.

    Example:
        >>> aum = torch.tensor([[3.0, -2.0, -1.0, 0.5], [3.0, -2.0, 0.5, -1.0]])
        >>> is_probe = torch.tensor([[False, False, True, False], [False, False, False, True]])
        >>> fake_class_flags(aum, is_probe)
        (tensor([-1., -1.]), tensor([False,  True, False, False]))
    """
    if aum.ndim != 2 or aum.shape != is_probe.shape:
        raise ValueError(
            f"`aum` and `is_probe` must both be (R, N), got {tuple(aum.shape)} and {tuple(is_probe.shape)}"
        )
    thresholds = torch.stack([fake_class_threshold(a[p], percentile) for a, p in zip(aum, is_probe, strict=True)])
    regular = ~is_probe & ~aum.isnan()
    passed = regular & (aum >= thresholds[:, None])
    return thresholds, regular.any(0) & ~passed.any(0)
