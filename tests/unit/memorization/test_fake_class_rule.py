"""Probes are disjoint and stratified; thresholds and flags equal a slow count."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.memorization import choose_probes, fake_class_flags, fake_class_threshold

QUICK = settings(deadline=None, max_examples=100)
margins = st.floats(-8, 8, width=32)
maybe = st.one_of(margins, st.sampled_from([math.nan, 0.0, 0.5]))


def slow_is_below(value: float, probes: list[float], percentile: float) -> bool:
    """As it is told: more than 1 % of the probes have a larger AUM."""
    seen = [p for p in probes if not math.isnan(p)]
    return 100 * sum(p > value for p in seen) > (100 - percentile) * len(seen)


def slow_flags(aum: list[list[float]], is_probe: list[list[bool]], percentile: float) -> list[bool]:
    """The authors' way to combine runs: the share of runs that flag, and ``good = ceil(1 - share)``."""
    flags = []
    for i in range(len(aum[0])):
        bad = count = 0
        for values, probe in zip(aum, is_probe, strict=True):
            if probe[i] or math.isnan(values[i]):
                continue
            count += 1
            bad += slow_is_below(values[i], [v for v, p in zip(values, probe, strict=True) if p], percentile)
        flags.append(count > 0 and math.ceil(1 - bad / count) == 0)
    return flags


@QUICK
@given(st.lists(maybe, min_size=1, max_size=400), maybe, st.sampled_from([99, 95, 90, 50, 99.5, 100]))
def test_the_threshold_equals_the_count(probes: list[float], value: float, percentile: float) -> None:
    if all(math.isnan(p) for p in probes):
        probes = [*probes, 1.0]
    threshold = fake_class_threshold(torch.tensor(probes, dtype=torch.float64), percentile)
    assert threshold.item() in probes
    for v in [value, *probes]:
        if not math.isnan(v):
            assert (v < threshold.item()) == slow_is_below(v, probes, percentile)


@pytest.mark.parametrize(("count", "above"), [(1, 0), (99, 0), (100, 1), (199, 1), (200, 2), (1000, 10), (5000, 50)])
def test_how_many_probes_are_above_the_99th_percentile(count: int, above: int) -> None:
    probes = torch.arange(count).float()[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    assert int((probes > fake_class_threshold(probes)).sum()) == above


def test_a_percentile_that_is_no_binary_fraction() -> None:
    assert fake_class_threshold(torch.arange(1000.0), 99.9) == 998.0
    assert fake_class_threshold(torch.arange(1000.0), 99.7) == 996.0


@QUICK
@given(st.integers(0, 10_000), st.integers(3, 60), st.sampled_from([99.0, 90.0, 60.0]))
def test_flags_equal_the_slow_rule(seed: int, size: int, percentile: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    aum = torch.randn(2, size, generator=generator).mul(4).round().div(4)  # in steps, so that there are ties
    is_probe = torch.zeros(2, size, dtype=torch.bool)
    order, count = torch.randperm(size, generator=generator), max(size // 4, 1)
    is_probe[0, order[:count]] = True
    is_probe[1, order[count : 2 * count]] = True
    unseen = torch.rand(2, size, generator=generator) < 0.1
    aum[unseen & ~is_probe] = torch.nan
    thresholds, flagged = fake_class_flags(aum, is_probe, percentile)
    assert flagged.tolist() == slow_flags(aum.tolist(), is_probe.tolist(), percentile)
    for run in range(2):
        assert thresholds[run] == fake_class_threshold(aum[run][is_probe[run]], percentile)


def test_a_sample_that_was_never_regular_and_seen_is_not_flagged() -> None:
    nan = math.nan
    aum = torch.tensor([[1.0, 0.0, nan, -5.0, nan], [1.0, -5.0, nan, 0.0, -5.0]])
    is_probe = torch.tensor([[False, True, False, False, False], [False, False, False, True, False]])
    assert fake_class_flags(aum, is_probe)[1].tolist() == [False, True, False, True, True]


@QUICK
@given(st.lists(st.integers(0, 4), min_size=5, max_size=120), st.data(), st.integers(0, 5))
def test_probes_are_disjoint_and_stratified(labels: list[int], data: st.DataObject, seed: int) -> None:
    number = data.draw(st.integers(1, (len(labels) - 1) // 2))
    first, second = (rows.tolist() for rows in choose_probes(np.array(labels), number, seed))
    assert len(set(first)) == len(set(second)) == number
    assert not set(first) & set(second)
    assert (first, second) == (sorted(first), sorted(second))
    share = number / len(labels)
    for label, count in Counter(labels).items():
        assert abs(sum(labels[i] == label for i in first) - share * count) < 1
    left = [i for i in range(len(labels)) if i not in first]
    for label, count in Counter(labels[i] for i in left).items():
        assert abs(sum(labels[i] == label for i in second) - number / len(left) * count) < 1


def test_the_seed_chooses() -> None:
    labels = np.arange(100) % 5
    assert torch.equal(choose_probes(labels, 10, 3)[1], choose_probes(labels, 10, 3)[1])
    assert not torch.equal(choose_probes(labels, 10, 3)[0], choose_probes(labels, 10, 4)[0])


def test_wrong_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"`num_probes` must leave regular samples .* got 2 x 5 of 10 samples: at most 4"
    ):
        choose_probes(np.arange(10) % 2, 5)
    with pytest.raises(ValueError, match="`num_probes` must be at least 1, got 0"):
        choose_probes(np.arange(10) % 2, 0)
    with pytest.raises(ValueError, match=r"`percentile` must be in \(0, 100\], got 0.0: the authors' is 99"):
        fake_class_threshold(torch.ones(3), 0.0)
    with pytest.raises(ValueError, match="`probe_aum` must have a value that is not NaN"):
        fake_class_threshold(torch.tensor([math.nan]))
    with pytest.raises(ValueError, match=r"must both be \(R, N\), got \(3,\) and \(3,\)"):
        fake_class_flags(torch.ones(3), torch.ones(3, dtype=torch.bool))
