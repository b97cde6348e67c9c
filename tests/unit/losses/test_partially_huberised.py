"""Partially Huberised cross-entropy."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, mean_absolute_error, phuber_cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, Check, batch, over_labels, unhurried


def slow(p: list[float], log_p: list[float], y: int, tau: float = 10.0) -> float:
    return -log_p[y] if p[y] > 1 / tau else -tau * p[y] + math.log(tau) + 1


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("tau", [None, 2.0, 50.0])
def test_contract(check: Check, tau: float | None) -> None:
    if tau is None:
        check(phuber_cross_entropy, slow)
    else:
        check(partial(phuber_cross_entropy, tau=tau), partial(slow, tau=tau))


def at(p: float) -> Tensor:
    """Logits of two classes that give the first one this probability."""
    return torch.tensor([[math.log(p), math.log(1 - p)]], dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("tau", [1.5, 2.0, 10.0])
def test_the_pieces_meet_in_value_and_slope(tau: float) -> None:
    values, slopes = [], []
    for p in (1 / tau - 1e-9, 1 / tau + 1e-9):
        logits = at(p)
        loss = phuber_cross_entropy(logits, torch.tensor([0]), tau)
        (grad,) = torch.autograd.grad(loss.sum(), logits)
        values.append(loss.item())
        slopes.append(grad[0, 0].item() / (p * (1 - p)))  # by the chain rule, the slope in p
    assert values == pytest.approx([math.log(tau)] * 2, abs=1e-7)
    assert slopes == pytest.approx([-tau] * 2, rel=1e-6)


@pytest.mark.parametrize("p", [1e-12, 1e-3, 0.05, 0.4, 0.9])
def test_no_slope_is_steeper_than_tau(p: float) -> None:
    logits = at(p)
    (grad,) = torch.autograd.grad(phuber_cross_entropy(logits, torch.tensor([0])).sum(), logits)
    assert grad[0, 0].item() / (p * (1 - p)) == pytest.approx(-min(10.0, 1 / p), rel=1e-6)


@unhurried
@given(ROWS)
def test_its_limits_are_the_mean_absolute_error_and_cross_entropy(logits: Tensor) -> None:
    flat, steep = (over_labels(partial(phuber_cross_entropy, tau=tau), logits) for tau in (1, 1e300))
    assert torch.equal(flat, over_labels(mean_absolute_error, logits))
    assert torch.equal(steep, over_labels(cross_entropy, logits))


@unhurried
@given(ROWS, st.floats(1, 100))
def test_it_is_at_most_cross_entropy_and_bounded(logits: Tensor, tau: float) -> None:
    each = over_labels(partial(phuber_cross_entropy, tau=tau), logits)
    assert (each >= 0).all()
    assert (each <= over_labels(cross_entropy, logits) + 1e-12).all()
    assert (each <= math.log(tau) + 1).all()


@pytest.mark.parametrize("tau", [0.5, math.inf, math.nan])
def test_a_wrong_slope(tau: float) -> None:
    with pytest.raises(ValueError, match=r"`tau` must be at least 1 and finite, got .*: pass 10, or 2 for CIFAR-10"):
        phuber_cross_entropy(*batch(), tau=tau)
