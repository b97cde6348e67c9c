"""The joint loss of two networks against a slow float64 loop."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, jocor, symmetric_kl
from tests.unit.losses.contract import CHECKS, ROWS, Check, batch, log_softmax, unhurried


def other_of(logits: Tensor) -> Tensor:
    """A second network's logits: a function of the first's, so that the contract of a loss applies."""
    return 0.5 * logits.roll(1, dims=1)


def slow_kl(one: list[float], two: list[float]) -> float:
    return math.fsum(math.exp(a) * (a - b) for a, b in zip(one, two, strict=True))


def slow_jocor(p: list[float], log_p: list[float], y: int, lam: float) -> float:
    other = log_softmax([0.5 * log_p[c - 1] for c in range(len(p))])
    agreement = slow_kl(log_p, other) + slow_kl(other, log_p)
    return (1 - lam) * (-log_p[y] - other[y]) + lam * agreement


def loss_of(lam: float, logits: Tensor, targets: Tensor) -> Tensor:
    return jocor(logits, other_of(logits), targets, lam)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("lam", [0.0, 0.9])
def test_contract(check: Check, lam: float) -> None:
    if check.__name__ == "equals_the_slow_loop":
        for dtype, rel in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
            logits, targets = batch(dtype)
            rows = zip(logits.double().tolist(), targets.tolist(), strict=True)
            slow = [slow_jocor([math.exp(v) for v in log_softmax(z)], log_softmax(z), y, lam) for z, y in rows]
            assert loss_of(lam, logits, targets).tolist() == pytest.approx(slow, rel=rel)
    else:
        check(partial(loss_of, lam), partial(slow_jocor, lam=lam))


@unhurried
@given(ROWS, st.integers(0, 5))
def test_the_divergence_is_symmetric_positive_and_zero_for_equals(logits: Tensor, seed: int) -> None:
    other = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    apart = symmetric_kl(logits, other)
    assert torch.allclose(apart, symmetric_kl(other, logits))
    assert (apart >= 0).all()
    assert not symmetric_kl(logits, logits + 3).abs().gt(1e-12).any()


def test_the_gradient_reaches_both_networks() -> None:
    first, targets = batch(torch.float64)
    second = first.roll(2, dims=0)
    first.requires_grad_()
    second.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: jocor(a, b, targets, 0.9), (first, second))


def test_all_share_on_the_labels_is_two_cross_entropies() -> None:
    first, targets = batch(torch.float64)
    second = first.flip(0)
    assert torch.equal(jocor(first, second, targets, 0), cross_entropy(first, targets) + cross_entropy(second, targets))


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\], got 9: pass the share of the agreement"):
        jocor(logits, logits, targets, lam=9)
    with pytest.raises(ValueError, match=r"`second` must have the shape of `first`, got \(16, 6\) beside \(16, 7\)"):
        symmetric_kl(logits, logits[:, :6])
    with pytest.raises(TypeError, match=r"`logits` must be floating point, got torch\.int64"):
        symmetric_kl(logits, logits.long())
