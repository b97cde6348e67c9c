"""DISC's groups against a slow loop, and their edges."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import disc_groups


def slow(
    weak: list[float], strong: list[float], y: int, thresholds: list[float], sigma: float, ceiling: float
) -> tuple[int, int]:
    speak = (weak[y] > thresholds[0]) + (strong[y] > thresholds[1])
    if speak:
        return (1 if speak == 2 else 2), y
    mean = [(a + b) / 2 for a, b in zip(weak, strong, strict=True)]
    if max(mean) > min((thresholds[0] + thresholds[1]) / 2 + sigma, ceiling):
        return 3, mean.index(max(mean))
    return 0, y


sharp = st.sampled_from([0.3, 1.0, 5.0])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), sharp, st.floats(0, 1), st.floats(0, 1))
def test_equal_the_slow_loop(seed: int, scale: float, sigma: float, ceiling: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, 20, 4, generator=generator, dtype=torch.float64)
    weak, strong = (scale * draw + draw[0]).softmax(-1)
    targets = torch.randint(0, 4, (20,), generator=generator)
    thresholds = torch.rand(20, 2, generator=generator, dtype=torch.float64)
    groups, labels = disc_groups(weak, strong, targets.short(), thresholds, sigma, ceiling)
    rows = zip(weak.tolist(), strong.tolist(), targets.tolist(), thresholds.tolist(), strict=True)
    assert list(zip(groups.tolist(), labels.tolist(), strict=True)) == [slow(*row, sigma, ceiling) for row in rows]


def test_every_group_is_there() -> None:
    weak = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9], [0.45, 0.55]])
    strong = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.0, 1.0], [0.45, 0.55]])
    groups, labels = disc_groups(weak, strong, torch.zeros(4, dtype=torch.int64), torch.full((4, 2), 0.5), sigma=0.4)
    assert groups.tolist() == [1, 2, 3, 0]
    assert labels.tolist() == [0, 0, 1, 0]


def test_the_ceiling_is_enough_where_the_thresholds_are_high() -> None:
    sure = torch.tensor([[0.005, 0.995]])
    high = torch.full((1, 2), 0.9)
    given_label = torch.tensor([0])
    assert disc_groups(sure, sure, given_label, high, ceiling=0.99)[0].tolist() == [3]
    assert disc_groups(sure, sure, given_label, high, ceiling=1.0)[0].tolist() == [0]


def test_nothing_waits_for_a_device() -> None:
    probs, targets = torch.zeros(3, 4, device="meta"), torch.zeros(3, dtype=torch.int64, device="meta")
    groups, labels = disc_groups(probs, probs, targets, torch.zeros(3, 2, device="meta"))
    assert groups.shape == labels.shape == (3,)


def test_wrong_arguments() -> None:
    probs, targets = torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"`thresholds` \(B, 2\), got \(3, 4\), \(3, 4\) and \(3,\)"):
        disc_groups(probs, probs, targets, torch.zeros(3))
    with pytest.raises(ValueError, match="`sigma` must be finite and at least 0, got -1"):
        disc_groups(probs, probs, targets, torch.zeros(3, 2), sigma=-1)
    with pytest.raises(ValueError, match=r"`ceiling` must be in \[0, 1\], got 9"):
        disc_groups(probs, probs, targets, torch.zeros(3, 2), ceiling=9)
