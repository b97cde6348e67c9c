"""Selection among the samples that two networks disagree on, against slow loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noisylearn.selection import disagreement, small_loss, small_loss_among

QUICK = settings(deadline=None, max_examples=60)
rates = st.floats(0, 1)
samples = st.lists(st.tuples(st.floats(0, 1e4, width=32), st.booleans()), min_size=1, max_size=30)


def slow(losses: list[float], among: list[bool], keep_rate: float) -> list[bool]:
    inside = [i for i, chosen in enumerate(among) if chosen]
    keep = int(keep_rate * len(inside)) or len(inside)
    kept = set(sorted(inside, key=lambda i: (losses[i], i))[:keep])
    return [i in kept for i in range(len(losses))]


@QUICK
@given(samples, rates)
@example([(0.5, True)] * 7, 0.6)
@example([(1.0, True), (0.0, False), (2.0, True)], 0.1)
@example([(1.0, False), (2.0, False)], 0.5)
@example([(float(i), True) for i in range(29)], 0.29)
def test_equals_the_slow_sort(rows: list[tuple[float, bool]], keep_rate: float) -> None:
    losses, among = [loss for loss, _ in rows], [inside for _, inside in rows]
    found = small_loss_among(torch.tensor(losses), torch.tensor(among), keep_rate)
    assert found.tolist() == slow(losses, among, keep_rate)


@QUICK
@given(st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=30), rates)
def test_among_all_it_is_small_loss(losses: list[float], keep_rate: float) -> None:
    values = torch.tensor(losses)
    among = torch.ones_like(values, dtype=torch.bool)
    assert torch.equal(small_loss_among(values, among, keep_rate), small_loss(values, keep_rate))


def test_each_network_selects_for_itself_among_the_same_samples() -> None:
    losses = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    among = torch.tensor([False, True, True, False])
    kept = small_loss_among(losses, among, 0.5)
    assert kept.tolist() == [[False, True, False, False], [False, False, True, False]]


def test_nothing_outside_or_not_finite_is_kept() -> None:
    losses = torch.tensor([0.1, math.nan, math.inf, 0.2])
    among = torch.tensor([False, True, True, True])
    assert small_loss_among(losses, among, 1.0).tolist() == [False, False, False, True]


def test_no_values_are_read_and_no_gradient_flows() -> None:
    losses = torch.rand(2, 4, requires_grad=True)
    kept = small_loss_among(losses, torch.tensor([True, False, True, True]), 0.5)
    assert not kept.requires_grad
    shown = small_loss_among(losses.to("meta"), torch.ones(4, dtype=torch.bool, device="meta"), 0.5)
    assert (shown.shape, shown.dtype) == ((2, 4), torch.bool)
    assert disagreement(torch.zeros(2, 4, 3, device="meta")).shape == (4,)


def test_disagreement_by_hand() -> None:
    logits = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    expected = []
    for one, two in zip(*logits.tolist(), strict=True):
        expected.append(one.index(max(one)) != two.index(max(two)))
    found = disagreement(logits)
    assert found.tolist() == expected
    assert 0 < found.sum() < 50
    assert not disagreement(logits[:1].expand(2, -1, -1)).any()


def test_wrong_arguments() -> None:
    losses, among = torch.rand(2, 4), torch.ones(4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"`keep_rate` must be in \[0, 1\], got 1.2: pass the share"):
        small_loss_among(losses, among, 1.2)
    with pytest.raises(ValueError, match=r"`among` must be \(B,\), got \(3,\) for losses of shape \(2, 4\)"):
        small_loss_among(losses, among[:3], 0.5)
    with pytest.raises(TypeError, match=r"`among` must be bool, got torch\.int64"):
        small_loss_among(losses, among.long(), 0.5)
    with pytest.raises(TypeError, match=r"`losses` must be floating point, got torch\.int64"):
        small_loss_among(losses.long(), among, 0.5)
    with pytest.raises(ValueError, match=r"`logits` must be \(2, B, C\), got \(3, 4, 5\): stack the outputs of two"):
        disagreement(torch.rand(3, 4, 5))
