"""Generalized cross-entropy, its limits, and its truncated form."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import (
    cross_entropy,
    generalized_cross_entropy,
    mean_absolute_error,
    truncated_generalized_cross_entropy,
    truncation_mask,
)
from tests.unit.losses.contract import CHECKS, ROWS, B, Check, Loss, Slow, batch, over_labels, unhurried


def slow(p: list[float], log_p: list[float], y: int, q: float = 0.7) -> float:
    return (1 - p[y] ** q) / q


def slow_truncated(p: list[float], log_p: list[float], y: int, q: float = 0.7, k: float = 0.5) -> float:
    return (1 - p[y] ** q) / q - (1 - k**q) / q if p[y] > k else 0.0


def freshly_truncated(logits: Tensor, targets: Tensor, q: float = 0.7, k: float = 0.5) -> Tensor:
    return truncated_generalized_cross_entropy(logits, targets, truncation_mask(logits, targets, k), q, k)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (generalized_cross_entropy, slow),
        (partial(generalized_cross_entropy, q=0.2), partial(slow, q=0.2)),
        (freshly_truncated, slow_truncated),
        (partial(freshly_truncated, q=0.4, k=0.1), partial(slow_truncated, q=0.4, k=0.1)),
    ],
    ids=["default", "q=0.2", "truncated", "truncated-0.4-0.1"],
)
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    if check.__name__ == "keeps_samples_apart" and loss is not generalized_cross_entropy:
        logits, targets = batch()  # a NaN is not above the threshold, so it is left out and gives 0
        assert torch.allclose(loss(logits[:5], targets[:5]), loss(logits, targets)[:5])
    else:
        check(loss, slow)


@unhurried
@given(ROWS)
def test_its_limits_are_cross_entropy_and_the_mean_absolute_error(logits: Tensor) -> None:
    gce = generalized_cross_entropy
    entropy = over_labels(cross_entropy, logits)
    assert torch.allclose(over_labels(partial(gce, q=1e-7), logits), entropy, rtol=1e-5, atol=1e-8)
    assert torch.equal(over_labels(partial(gce, q=1.0), logits), over_labels(mean_absolute_error, logits))


@unhurried
@given(ROWS, st.floats(0.01, 1))
def test_it_lies_between_zero_and_one_over_q_and_below_cross_entropy(logits: Tensor, q: float) -> None:
    loss = over_labels(partial(generalized_cross_entropy, q=q), logits)
    assert (loss >= 0).all()
    assert (loss <= 1 / q).all()
    assert (loss <= over_labels(cross_entropy, logits) + 1e-12).all()


def test_a_label_of_tiny_probability_still_has_its_gradient() -> None:
    logits = torch.tensor([[0.0, 25.0]], dtype=torch.float64, requires_grad=True)  # p_y is far below 1e-7
    (grad,) = torch.autograd.grad(generalized_cross_entropy(logits, torch.tensor([0])).sum(), logits)
    p = logits.detach().softmax(-1)
    expected = p[0, 0] ** 0.7 * (p - torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    assert torch.allclose(grad, expected, rtol=1e-9, atol=0)
    assert grad.all()


def test_the_mask_keeps_what_is_likelier_than_the_threshold() -> None:
    logits, targets = batch(torch.float64)
    p = logits.softmax(-1)[torch.arange(B), targets]
    for k in (0.1, 0.5, 0.9):
        mask = truncation_mask(logits.requires_grad_(), targets, k)
        assert torch.equal(mask, p.detach() > k)
        assert mask.any()
        assert not mask.all()
    assert not truncation_mask(torch.zeros(1, 2), torch.tensor([0]), k=0.6).item()


def test_what_is_not_kept_gives_neither_loss_nor_gradient() -> None:
    logits, targets = batch()
    logits.requires_grad_()
    kept = torch.arange(B) % 3 == 0
    loss = truncated_generalized_cross_entropy(logits, targets, kept)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert not loss[~kept].any()
    assert not grad[~kept].any()
    assert loss[kept].all()
    (full,) = torch.autograd.grad(generalized_cross_entropy(logits, targets).sum(), logits)
    assert torch.equal(grad[kept], full[kept])


@unhurried
@given(ROWS, st.floats(0.05, 1), st.floats(0.05, 0.95))
def test_a_fresh_mask_gives_the_papers_truncated_loss_up_to_a_constant(logits: Tensor, q: float, k: float) -> None:
    at_k = (1 - k**q) / q
    papers = over_labels(partial(generalized_cross_entropy, q=q), logits).clamp(max=at_k)
    assert torch.allclose(over_labels(partial(freshly_truncated, q=q, k=k), logits) + at_k, papers)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.1])
def test_a_wrong_exponent(q: float) -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`q` must be in \(0, 1\], got .*: pass 0\.7, the paper's"):
        generalized_cross_entropy(logits, targets, q)
    with pytest.raises(ValueError, match=r"`q` must be in \(0, 1\]"):
        truncated_generalized_cross_entropy(logits, targets, torch.ones(B).bool(), q)


def test_a_wrong_threshold_or_mask() -> None:
    logits, targets = batch()
    kept = torch.ones(B, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"`k` must be in \(0, 1\], got 0: pass 0\.5"):
        truncation_mask(logits, targets, 0)
    with pytest.raises(ValueError, match=r"`k` must be in \(0, 1\], got 2"):
        truncated_generalized_cross_entropy(logits, targets, kept, k=2)
    with pytest.raises(TypeError, match=r"`kept` must be bool, got torch\.float32: pass what `truncation_mask`"):
        truncated_generalized_cross_entropy(logits, targets, kept.float())
    with pytest.raises(ValueError, match=r"`kept` must be \(B,\), got \(3,\) for targets of shape \(16,\): pass"):
        truncated_generalized_cross_entropy(logits, targets, kept[:3])
