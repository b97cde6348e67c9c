"""Normalized losses, the mean absolute error, and their sums."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import (
    mean_absolute_error,
    nce_mae,
    nce_rce,
    normalized_cross_entropy,
    normalized_focal_loss,
    reverse_cross_entropy,
)
from tests.unit.losses.contract import CHECKS, ROWS, Check, Loss, Slow, batch, over_labels, unhurried


def slow_nce(p: list[float], log_p: list[float], y: int) -> float:
    return log_p[y] / math.fsum(log_p)


def slow_nfl(p: list[float], log_p: list[float], y: int, gamma: float = 0.5) -> float:
    rest = [math.fsum(p[:c] + p[c + 1 :]) for c in range(len(p))]
    focal = [-(rest[c] ** gamma) * log_p[c] for c in range(len(p))]
    return focal[y] / math.fsum(focal)


def slow_mae(p: list[float], log_p: list[float], y: int) -> float:
    return math.fsum(abs(p[c] - (c == y)) for c in range(len(p))) / 2


def slow_nce_rce(
    p: list[float], log_p: list[float], y: int, alpha: float = 1.0, beta: float = 1.0, log_zero: float = math.log(1e-4)
) -> float:
    return alpha * slow_nce(p, log_p, y) - beta * log_zero * slow_mae(p, log_p, y)


def slow_nce_mae(p: list[float], log_p: list[float], y: int, alpha: float = 1.0, beta: float = 1.0) -> float:
    return alpha * slow_nce(p, log_p, y) + beta * slow_mae(p, log_p, y)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (normalized_cross_entropy, slow_nce),
        (normalized_focal_loss, slow_nfl),
        (partial(normalized_focal_loss, gamma=2.0), partial(slow_nfl, gamma=2.0)),
        (mean_absolute_error, slow_mae),
        (nce_rce, slow_nce_rce),
        (
            partial(nce_rce, alpha=10.0, beta=0.1, log_zero=math.log(1e-4)),
            partial(slow_nce_rce, alpha=10.0, beta=0.1, log_zero=math.log(1e-4)),
        ),
        (nce_mae, slow_nce_mae),
        (partial(nce_mae, alpha=10.0, beta=1.0), partial(slow_nce_mae, alpha=10.0, beta=1.0)),
    ],
    ids=["nce", "nfl", "nfl-2", "mae", "nce+rce", "nce+rce-c100", "nce+mae", "nce+mae-c100"],
)
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    check(loss, slow)


@pytest.mark.parametrize(
    ("loss", "total"),
    [
        (normalized_cross_entropy, lambda c: 1),
        (normalized_focal_loss, lambda c: 1),
        (mean_absolute_error, lambda c: c - 1),
        (nce_mae, lambda c: c),
        (nce_rce, lambda c: 1 - math.log(1e-4) * (c - 1)),
    ],
)
@unhurried
@given(logits=ROWS)
def test_they_are_symmetric(logits: Tensor, loss: Loss, total: type[int]) -> None:
    each = over_labels(loss, logits)
    assert (each >= 0).all()
    assert torch.allclose(each.sum(1), torch.full((len(logits),), float(total(logits.shape[1])), dtype=torch.float64))


@unhurried
@given(ROWS, st.floats(0, 5))
def test_the_normalized_ones_lie_between_zero_and_one(logits: Tensor, gamma: float) -> None:
    for loss in (normalized_cross_entropy, partial(normalized_focal_loss, gamma=gamma)):
        each = over_labels(loss, logits)
        assert (each >= 0).all()
        assert (each <= 1).all()


def test_focal_without_focus_is_nce() -> None:
    logits, targets = batch(torch.float64)
    assert torch.allclose(normalized_focal_loss(logits, targets, 0), normalized_cross_entropy(logits, targets))


def test_the_focal_factor_has_its_share_of_the_gradient() -> None:
    logits, targets = batch(torch.float64)
    logits.requires_grad_()
    log_p = logits.log_softmax(-1)
    focal = (1 - log_p.exp()).detach().sqrt() * -log_p  # the authors' code: the factor is a constant
    held = focal.gather(1, targets[:, None])[:, 0] / focal.sum(1)
    ours = normalized_focal_loss(logits, targets)
    assert torch.allclose(ours, held)
    grads = [torch.autograd.grad(x.sum(), logits)[0] for x in (ours, held)]
    assert not torch.allclose(*grads, atol=1e-3)


def test_the_sums_are_sums() -> None:
    logits, targets = batch(torch.float64)
    nce, mae = normalized_cross_entropy(logits, targets), mean_absolute_error(logits, targets)
    assert torch.equal(nce_mae(logits, targets, 3.0, 0.5), 3.0 * nce + 0.5 * mae)
    assert torch.equal(nce_rce(logits, targets, 3.0, 0.5), 3.0 * nce + 0.5 * reverse_cross_entropy(logits, targets))


def test_wrong_arguments() -> None:
    logits, targets = batch()
    for loss in (normalized_cross_entropy, normalized_focal_loss, nce_mae, nce_rce):
        with pytest.raises(ValueError, match=r"`logits` must have at least 2 classes, got shape \(2, 1\): a norm"):
            loss(torch.zeros(2, 1), torch.zeros(2).long())
    with pytest.raises(ValueError, match=r"`gamma` must be at least 0 and finite, got -1: pass 0\.5"):
        normalized_focal_loss(logits, targets, gamma=-1)
    for loss in (nce_mae, nce_rce):
        with pytest.raises(ValueError, match="`alpha` must be at least 0"):
            loss(logits, targets, alpha=-1)
        with pytest.raises(ValueError, match="`beta` must be at least 0"):
            loss(logits, targets, beta=math.inf)
    with pytest.raises(ValueError, match="`log_zero` must be negative"):
        nce_rce(logits, targets, log_zero=0)
