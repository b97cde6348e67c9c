"""Soft and hard bootstrapping."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, hard_bootstrapping, soft_bootstrapping, soft_cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, Check, Loss, Slow, batch, unhurried


def slow_soft(p: list[float], log_p: list[float], y: int, beta: float = 0.95) -> float:
    return -math.fsum((beta * (c == y) + (1 - beta) * p[c]) * log_p[c] for c in range(len(p)))


def slow_hard(p: list[float], log_p: list[float], y: int, beta: float = 0.8) -> float:
    best = p.index(max(p))
    return -math.fsum((beta * (c == y) + (1 - beta) * (c == best)) * log_p[c] for c in range(len(p)))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (soft_bootstrapping, slow_soft),
        (hard_bootstrapping, slow_hard),
        (partial(soft_bootstrapping, beta=0.3), partial(slow_soft, beta=0.3)),
        (partial(hard_bootstrapping, beta=0.3), partial(slow_hard, beta=0.3)),
    ],
    ids=["soft", "hard", "soft-0.3", "hard-0.3"],
)
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    check(loss, slow)


@pytest.mark.parametrize("loss", [soft_bootstrapping, hard_bootstrapping])
def test_the_given_label_alone_is_cross_entropy(loss: Loss) -> None:
    logits, targets = batch(torch.float64)
    assert torch.equal(partial(loss, beta=1.0)(logits, targets), cross_entropy(logits, targets))


def test_stopping_the_gradient_changes_the_gradient_alone() -> None:
    logits, targets = batch(torch.float64)
    logits.requires_grad_()
    free, stopped = (soft_bootstrapping(logits, targets, 0.3, stop) for stop in (False, True))
    assert torch.equal(free, stopped)
    onehot = torch.eye(logits.shape[1], dtype=torch.float64)[targets]
    constant = 0.3 * onehot + 0.7 * logits.softmax(-1).detach()
    grads = [torch.autograd.grad(x.sum(), logits)[0] for x in (free, stopped, soft_cross_entropy(logits, constant))]
    assert torch.allclose(grads[1], grads[2])
    assert not torch.allclose(grads[0], grads[1])


@unhurried
@given(ROWS, st.floats(0, 1))
def test_a_prediction_that_agrees_with_the_label_is_cross_entropy(logits: Tensor, beta: float) -> None:
    agreed = logits.argmax(-1)
    assert torch.allclose(hard_bootstrapping(logits, agreed, beta), cross_entropy(logits, agreed))


@pytest.mark.parametrize("loss", [soft_bootstrapping, hard_bootstrapping])
def test_a_wrong_share(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"`beta` must be in \[0, 1\], got 1.2: pass the share of the given label"):
        partial(loss, beta=1.2)(*batch())
