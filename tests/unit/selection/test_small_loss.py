"""Small-loss selection against a slow sort, and its invariants."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noisylearn.selection import small_loss

QUICK = settings(deadline=None, max_examples=60)
rates = st.floats(0, 1)
finite = st.floats(0, 1e4, width=32)
any_loss = st.one_of(finite, st.sampled_from([math.nan, math.inf, 0.5]))


def slow(losses: list[float], keep_rate: float) -> list[bool]:
    keep = int(keep_rate * len(losses)) or len(losses)
    keys = [(True, 0.0, i) if math.isnan(loss) else (False, loss, i) for i, loss in enumerate(losses)]
    kept = {i for _, _, i in sorted(keys)[:keep]}
    return [i in kept for i in range(len(losses))]


@QUICK
@given(st.lists(any_loss, min_size=1, max_size=30), rates)
@example([math.nan, 1.0, math.inf, math.nan], 0.5)
@example([0.5] * 7, 0.6)
@example([3.0], 0.9)
def test_equals_the_slow_sort_with_ties_by_position_and_nan_last(losses: list[float], keep_rate: float) -> None:
    assert small_loss(torch.tensor(losses), keep_rate).tolist() == slow(losses, keep_rate)


@QUICK
@given(st.integers(1, 200), rates)
def test_keeps_exactly_as_many_as_asked_or_all(batch: int, keep_rate: float) -> None:
    kept = small_loss(torch.rand(batch, generator=torch.Generator().manual_seed(batch)), keep_rate)
    assert kept.sum().item() == (int(keep_rate * batch) or batch)


@QUICK
@given(st.lists(finite, min_size=1, max_size=30, unique=True), rates, st.randoms(use_true_random=False))
def test_the_order_of_the_batch_does_not_matter(losses: list[float], keep_rate: float, random: Random) -> None:
    order = random.sample(range(len(losses)), len(losses))
    values = torch.tensor(losses)
    assert torch.equal(small_loss(values[order], keep_rate), small_loss(values, keep_rate)[order])


@QUICK
@given(st.lists(any_loss, min_size=1, max_size=30), rates, rates)
def test_a_higher_rate_keeps_what_a_lower_one_kept(losses: list[float], one: float, two: float) -> None:
    low, high = sorted((one, two))
    values = torch.tensor(losses)
    if int(low * len(losses)) > 0:
        assert (small_loss(values, high) | ~small_loss(values, low)).all()


@QUICK
@given(st.lists(finite, min_size=1, max_size=30), st.floats(0.01, 1))
def test_no_loss_left_out_is_smaller_than_one_kept(losses: list[float], keep_rate: float) -> None:
    values = torch.tensor(losses)
    kept = small_loss(values, keep_rate)
    if not kept.all():
        assert values[kept].max() <= values[~kept].min()


@pytest.mark.parametrize("batch", [1, 5, 128])
@pytest.mark.parametrize("keep_rate", [0.0, 0.29, 0.55, 0.6, 1.0])
def test_a_tensor_rate_is_a_float_rate(batch: int, keep_rate: float) -> None:
    losses = torch.rand(2, batch, generator=torch.Generator().manual_seed(0))
    expected = small_loss(losses, keep_rate)
    for rate in (torch.tensor(keep_rate, dtype=torch.float64), torch.full((2,), keep_rate, dtype=torch.float64)):
        assert torch.equal(small_loss(losses, rate), expected)


def test_each_network_selects_for_itself() -> None:
    losses = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    assert small_loss(losses, 0.5).tolist() == [[True, True, False, False], [False, False, True, True]]
    rates = torch.tensor([0.25, 0.75])
    assert small_loss(losses, rates).tolist() == [[True, False, False, False], [False, True, True, True]]


@pytest.mark.parametrize("keep_rate", [0.0, 0.3, 1.0])
def test_a_batch_of_one_is_kept(keep_rate: float) -> None:
    assert small_loss(torch.tensor([7.0]), keep_rate).tolist() == [True]


def test_an_empty_batch_gives_an_empty_mask() -> None:
    assert small_loss(torch.zeros(0), 0.5).shape == (0,)


def test_float64_differences_are_seen_and_no_gradient_flows() -> None:
    losses = torch.tensor([1.0 + 1e-12, 1.0], dtype=torch.float64, requires_grad=True)
    kept = small_loss(losses, 0.5)
    assert kept.tolist() == [False, True]
    assert not kept.requires_grad
    assert kept.dtype == torch.bool


def test_bfloat16_ranks_as_its_float32_values() -> None:
    losses = torch.tensor([0.1, 0.05, 3.0, 0.2]).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert small_loss(losses, 0.5).tolist() == [True, True, False, False]


def test_wrong_arguments() -> None:
    losses = torch.rand(3, 4)
    with pytest.raises(ValueError, match=r"`keep_rate` must be in \[0, 1\], got 1.2: pass the share"):
        small_loss(losses, 1.2)
    with pytest.raises(ValueError, match=r"`keep_rate` must be a scalar or have shape \(3,\), got \(4,\) for losses"):
        small_loss(losses, torch.rand(4))
    with pytest.raises(TypeError, match=r"`losses` must be floating point, got torch\.int64"):
        small_loss(torch.arange(3), 0.5)
    with pytest.raises(ValueError, match=r"`losses` must be \(\.\.\., B\), got a scalar"):
        small_loss(torch.tensor(1.0), 0.5)
