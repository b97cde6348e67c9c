"""Another sampler's epoch, in proportion to weights."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import RandomSampler

from noisylearn.callbacks.weighted_sampler import WeightedSampler, in_proportion

WEIGHTS = st.lists(st.floats(0, 100), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3)


@given(WEIGHTS, st.integers(0, 1000))
def test_each_sample_comes_its_share_rounded_down_or_up(weights: list[float], seed: int) -> None:
    order = [3 * i + 1 for i in range(len(weights))]
    generator = torch.Generator().manual_seed(seed)
    drawn = in_proportion(order, torch.tensor(weights, dtype=torch.float64), generator)
    assert len(drawn) == len(order)
    counts = Counter(drawn)
    assert set(counts) <= set(order)
    for index, weight in zip(order, weights, strict=True):
        share = weight * len(order) / sum(weights)
        assert abs(counts[index] - share) < 1 + 1e-6
        if weight == 0:
            assert counts[index] == 0


def test_rounding_is_fair_in_the_long_run() -> None:
    weights = torch.tensor([1.0, 1.5, 0.25, 1.25, 0.75, 1.25], dtype=torch.float64)
    total: Counter[int] = Counter()
    for seed in range(4000):
        total.update(in_proportion(range(6), weights, torch.Generator().manual_seed(seed)))
    for i, weight in enumerate(weights.tolist()):
        assert total[i] / 4000 == pytest.approx(weight, abs=0.03)


def test_equal_weights_leave_the_order_alone() -> None:
    sampler = WeightedSampler([4, 2, 7], lambda rows: None, torch.Generator, 8)
    assert list(sampler) == [4, 2, 7]
    assert len(sampler) == 3


def test_the_rest_is_the_wrapped_sampler_s() -> None:
    inner = RandomSampler(range(5))
    sampler = WeightedSampler(inner, lambda rows: None, torch.Generator, 8)
    assert sampler.replacement is inner.replacement
    assert isinstance(pickle.loads(pickle.dumps(WeightedSampler([1], int, torch.Generator, 2))), WeightedSampler)


def test_a_process_whose_share_is_left_out_draws_from_the_others() -> None:
    weights = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    sampler = WeightedSampler([0, 2], lambda rows: weights[rows], torch.Generator, 5)
    for seed in range(10):
        sampler._generator = lambda seed=seed: torch.Generator().manual_seed(seed)  # type: ignore[misc]
        drawn = list(sampler)
        assert len(drawn) == 2
        assert set(drawn) <= {1, 3, 4}
