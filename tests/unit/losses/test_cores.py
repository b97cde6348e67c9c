"""The loss of CORES²."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from noisylearn.losses import cores, cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, B, C, Check, batch, over_labels, unhurried

PRIOR = torch.tensor([0.3, 0.2, 0.1, 0.1, 0.1, 0.15, 0.05])


def slow(p: list[float], log_p: list[float], y: int, beta: float = 2.0) -> float:
    expected = math.fsum(w * -math.log(v + 1e-8) for w, v in zip(PRIOR.tolist(), p, strict=True))
    return -log_p[y] - beta * expected


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: Check) -> None:
    check(lambda logits, targets: cores(logits, targets, PRIOR.to(logits.device)), slow)


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_the_weight_of_the_subtracted_term(beta: float) -> None:
    logits, targets = batch(torch.float64)
    zero, one, got = (cores(logits, targets, PRIOR, b) for b in (0.0, 1.0, beta))
    assert torch.equal(zero, cross_entropy(logits, targets))
    assert torch.allclose(got, zero + beta * (one - zero))


@unhurried
@given(ROWS)
def test_labels_drawn_from_the_prior_cost_nothing_on_average(logits: Tensor) -> None:
    prior = torch.arange(1, logits.shape[1] + 1, dtype=torch.float64).softmax(0)
    each = over_labels(lambda z, y: cores(z, y, prior, beta=1.0), logits.clamp(-5, 5))  # far from the floor
    assert torch.allclose((prior * each).sum(1), torch.zeros(len(logits), dtype=torch.float64), atol=1e-3)


@unhurried
@given(ROWS)
def test_it_is_bounded_from_below(logits: Tensor) -> None:
    uniform = torch.full((logits.shape[1],), 1 / logits.shape[1], dtype=torch.float64)
    assert (over_labels(lambda z, y: cores(z, y, uniform), 100 * logits) >= 2 * math.log(1e-8) - 1e-9).all()


def test_the_sieve_keeps_labels_likelier_than_the_geometric_mean() -> None:
    logits, targets = batch(torch.float64, scale=1.0)
    uniform = torch.full((C,), 1 / C, dtype=torch.float64)
    log_p = logits.log_softmax(-1)
    likelier = log_p[torch.arange(B), targets] >= log_p.mean(1)
    assert torch.equal(cores(logits, targets, uniform, beta=1.0) <= 0, likelier)
    assert likelier.any()
    assert not likelier.all()


def test_the_prior_is_widened_as_the_logits_are() -> None:
    logits, targets = batch(torch.bfloat16)
    assert cores(logits, targets, PRIOR.bfloat16()).dtype == torch.float32
    assert torch.equal(
        cores(logits, targets, PRIOR.bfloat16()), cores(logits.float(), targets, PRIOR.bfloat16().float())
    )
    assert cores(logits, targets, PRIOR.double()).dtype == torch.float64


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(TypeError, match=r"`prior` must be floating point, got torch\.int64: pass one probability"):
        cores(logits, targets, torch.ones(C, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"`prior` must be \(C,\), got \(16,\) for logits of shape \(16, 7\): pass"):
        cores(logits, targets, torch.ones(B))
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got -2"):
        cores(logits, targets, PRIOR, beta=-2)
