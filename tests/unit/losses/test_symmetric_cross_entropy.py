"""Symmetric and reverse cross-entropy."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, reverse_cross_entropy, symmetric_cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, Check, Loss, Slow, batch, over_labels, unhurried

AUTHORS = math.log(1e-4)


def slow_reverse(p: list[float], log_p: list[float], y: int, log_zero: float = math.log(1e-4)) -> float:
    return -math.fsum(p[c] * (0.0 if c == y else log_zero) for c in range(len(p)))


def slow_symmetric(
    p: list[float], log_p: list[float], y: int, alpha: float = 0.1, beta: float = 1.0, log_zero: float = math.log(1e-4)
) -> float:
    return -alpha * log_p[y] + beta * slow_reverse(p, log_p, y, log_zero)


def slow_authors(p: list[float], log_p: list[float], y: int) -> float:
    """The authors' code: the one-hot label clamped at 1e-4 (without its clip of ``p`` at 1e-7)."""
    return -6 * log_p[y] - 0.1 * math.fsum(p[c] * math.log(1.0 if c == y else 1e-4) for c in range(len(p)))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (reverse_cross_entropy, slow_reverse),
        (partial(reverse_cross_entropy, log_zero=-2.0), partial(slow_reverse, log_zero=-2.0)),
        (symmetric_cross_entropy, slow_symmetric),
        (partial(symmetric_cross_entropy, alpha=6.0, beta=0.1, log_zero=AUTHORS), slow_authors),
    ],
    ids=["reverse", "reverse-A=-2", "symmetric", "symmetric-authors"],
)
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    check(loss, slow)


@unhurried
@given(ROWS, st.floats(-10, -0.1))
def test_the_reverse_term_is_symmetric(logits: Tensor, log_zero: float) -> None:
    total = over_labels(partial(reverse_cross_entropy, log_zero=log_zero), logits).sum(1)
    assert torch.allclose(total, torch.full_like(total, -log_zero * (logits.shape[1] - 1)))


def test_the_reverse_term_is_least_for_a_sure_label_and_most_for_a_sure_other_one() -> None:
    sure = torch.tensor([[100.0, 0.0]])
    assert reverse_cross_entropy(sure, torch.tensor([0])).item() == 0
    assert reverse_cross_entropy(sure, torch.tensor([1])).item() == pytest.approx(9.2103, abs=1e-4)
    assert reverse_cross_entropy(sure, torch.tensor([1]), -4).item() == 4


def test_a_weight_of_zero_leaves_a_term_out() -> None:
    logits, targets = batch(torch.float64)
    assert torch.equal(symmetric_cross_entropy(logits, targets, 1, 0), cross_entropy(logits, targets))
    assert torch.allclose(symmetric_cross_entropy(logits, targets, 0, 2), 2 * reverse_cross_entropy(logits, targets))


def test_wrong_numbers() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match="`alpha` must be at least 0 and finite, got -1: pass the weight"):
        symmetric_cross_entropy(logits, targets, alpha=-1)
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got nan"):
        symmetric_cross_entropy(logits, targets, beta=math.nan)
    for loss in (symmetric_cross_entropy, reverse_cross_entropy):
        with pytest.raises(ValueError, match=r"`log_zero` must be negative and finite, got 4: pass math.log"):
            loss(logits, targets, log_zero=4)
