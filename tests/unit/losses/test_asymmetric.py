"""The asymmetric losses."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import (
    asymmetric_generalized_cross_entropy,
    asymmetric_unhinged_loss,
    generalized_cross_entropy,
    mean_absolute_error,
)
from tests.unit.losses.contract import CHECKS, ROWS, Check, Loss, Slow, batch, over_labels, unhurried


def slow_agce(p: list[float], log_p: list[float], y: int, a: float = 0.6, q: float = 0.6) -> float:
    return ((a + 1) ** q - (a + p[y]) ** q) / q


def slow_aul(p: list[float], log_p: list[float], y: int, a: float = 5.5, q: float = 3.0) -> float:
    return ((a - p[y]) ** q - (a - 1) ** q) / q


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (asymmetric_generalized_cross_entropy, slow_agce),
        (partial(asymmetric_generalized_cross_entropy, a=1.8, q=3.0), partial(slow_agce, a=1.8, q=3.0)),
        (asymmetric_unhinged_loss, slow_aul),
        (partial(asymmetric_unhinged_loss, a=3.0, q=0.1), partial(slow_aul, a=3.0, q=0.1)),
    ],
    ids=["agce", "agce-1.8-3", "aul", "aul-3-0.1"],
)
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    check(loss, slow)


@unhurried
@given(ROWS, st.floats(1.01, 6))
def test_an_exponent_of_one_is_the_mean_absolute_error(logits: Tensor, a: float) -> None:
    mae = over_labels(mean_absolute_error, logits)
    for loss in (asymmetric_generalized_cross_entropy, asymmetric_unhinged_loss):
        assert torch.allclose(over_labels(partial(loss, a=a, q=1.0), logits), mae, atol=1e-12)


@unhurried
@given(ROWS)
def test_without_the_shift_it_is_generalized_cross_entropy(logits: Tensor) -> None:
    unshifted = over_labels(partial(asymmetric_generalized_cross_entropy, a=1e-14, q=0.7), logits)
    assert torch.allclose(unshifted, over_labels(generalized_cross_entropy, logits), atol=1e-8)


@unhurried
@given(ROWS, st.floats(1.01, 6), st.floats(0.1, 4))
def test_they_fall_as_the_label_grows_likelier_between_their_bounds(logits: Tensor, a: float, q: float) -> None:
    mae = over_labels(mean_absolute_error, logits)
    for loss, most in (
        (asymmetric_generalized_cross_entropy, ((a + 1) ** q - a**q) / q),
        (asymmetric_unhinged_loss, (a**q - (a - 1) ** q) / q),
    ):
        each = over_labels(partial(loss, a=a, q=q), logits)
        assert (each >= -1e-9).all()
        assert (each <= most + 1e-9).all()
        in_order = each.gather(1, mae.argsort(dim=1))
        assert (in_order.diff(dim=1) >= -1e-9).all()


def test_wrong_numbers() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`a` must be positive and finite, got 0: pass 0\.6"):
        asymmetric_generalized_cross_entropy(logits, targets, a=0)
    with pytest.raises(ValueError, match=r"`a` must be above 1 and finite, got 1: pass 5\.5"):
        asymmetric_unhinged_loss(logits, targets, a=1)
    for loss in (asymmetric_generalized_cross_entropy, asymmetric_unhinged_loss):
        with pytest.raises(ValueError, match=r"`q` must be positive and finite, got -1: pass "):
            loss(logits, targets, q=-1)
        with pytest.raises(TypeError, match="`q` must be a number, got None"):
            loss(logits, targets, q=None)
