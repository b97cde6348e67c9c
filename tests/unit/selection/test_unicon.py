"""UNICON's divergence and selection against slow loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import label_divergence, uniform_selection


def slow_divergence(p: list[float], y: int) -> float:
    one_hot = [float(c == y) for c in range(len(p))]
    mean = [(a + b) / 2 for a, b in zip(p, one_hot, strict=True)]
    total = 0.0
    for q in (p, one_hot):
        total += math.fsum(a * math.log(a / m) for a, m in zip(q, mean, strict=True) if a > 0) / 2
    return total


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
def test_divergence_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    probs = (scale * torch.randn(30, 5, generator=generator, dtype=torch.float64)).softmax(-1)
    targets = torch.randint(0, 5, (30,), generator=generator)
    found = label_divergence(probs.to(dtype), targets)
    expected = [slow_divergence(p, y) for p, y in zip(probs.tolist(), targets.tolist(), strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert found.min() >= 0
    assert found.max() <= math.log(2) + 1e-6


def slow_selection(divergence: list[float], targets: list[int], num_classes: int) -> list[bool]:
    known = [i for i, d in enumerate(divergence) if not math.isnan(d)]
    mean = torch.tensor([divergence[i] for i in known], dtype=torch.float64).mean().item()
    per_class = sum(divergence[i] < mean for i in known) // num_classes
    kept = set()
    for c in range(num_classes):
        of_class = sorted((i for i in known if targets[i] == c), key=lambda i: (divergence[i], i))
        kept |= set(of_class[:per_class])
    return [i in kept for i in range(len(divergence))]


values = st.one_of(st.integers(0, 9).map(lambda n: n / 8), st.just(math.nan))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(values, st.integers(0, 3)), min_size=1, max_size=40))
def test_selection_equals_the_slow_loop(samples: list[tuple[float, int]]) -> None:
    divergence, targets = [d for d, _ in samples], [y for _, y in samples]
    if all(map(math.isnan, divergence)):
        divergence[0] = 0.5
    found = uniform_selection(torch.tensor(divergence, dtype=torch.float64), torch.tensor(targets), 4)
    assert found.tolist() == slow_selection(divergence, targets, 4)


def test_every_class_has_the_same_share() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(1000) % 10
    hard = (targets < 3).double()  # three classes are far from their labels throughout
    divergence = 0.1 * torch.rand(1000, generator=generator, dtype=torch.float64) + 0.3 * hard
    kept = uniform_selection(divergence, targets, 10)
    assert torch.bincount(targets[kept], minlength=10).tolist() == [70] * 10


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`probs` must be \(B, C\) and `targets` \(B,\), got \(3, 4\) and \(4,\)"):
        label_divergence(torch.zeros(3, 4), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"must be \(N,\), got \(3,\) and \(4,\)"):
        uniform_selection(torch.zeros(3), torch.zeros(4, dtype=torch.int64), 2)
