"""The loss of Joint Optimization against a slow float64 loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from noisylearn.losses import joint_optimization, soft_cross_entropy
from tests.unit.losses.contract import ROWS, B, C, batch, log_softmax, unhurried


def slow(logits: Tensor, soft: Tensor, alpha: float, beta: float) -> list[float]:
    rows = [log_softmax(z) for z in logits.double().tolist()]
    mean = [math.fsum(math.exp(row[c]) for row in rows) / len(rows) for c in range(len(rows[0]))]
    uneven = math.fsum(math.log(1 / len(mean) / m) / len(mean) for m in mean)
    out = []
    for row, t in zip(rows, soft.double().tolist(), strict=True):
        entropy = -math.fsum(math.exp(v) * v for v in row)
        out.append(-math.fsum(a * b for a, b in zip(t, row, strict=True)) + alpha * uneven + beta * entropy)
    return out


def soft_labels(dtype: torch.dtype) -> Tensor:
    return batch(torch.float64)[0].flip(0).softmax(-1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_the_slow_loop(dtype: torch.dtype) -> None:
    for scale in (0.5, 3.0, 20.0):
        logits, soft = batch(dtype, scale)[0], soft_labels(dtype)
        got = joint_optimization(logits, soft, 1.2, 0.8)
        assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert got.tolist() == pytest.approx(
            slow(logits, soft, 1.2, 0.8), rel=1e-10 if dtype == torch.float64 else 1e-5
        )
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(joint_optimization(logits, soft, 1.2, 0.8), got)


def test_the_gradient_of_its_formula_reaches_the_network_alone() -> None:
    logits, soft = batch(torch.float64)[0].requires_grad_(), soft_labels(torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: joint_optimization(z, soft.detach(), 1.2, 0.8), logits)
    joint_optimization(logits, soft, 1.2, 0.8).sum().backward()
    assert soft.grad is None


def test_without_weights_it_is_soft_cross_entropy() -> None:
    logits, soft = batch()[0], soft_labels(torch.float32)
    assert torch.equal(joint_optimization(logits, soft, 0.0, 0.0), soft_cross_entropy(logits, soft))


@unhurried
@given(ROWS)
def test_only_unequal_classes_cost(logits: Tensor) -> None:
    """Every class as likely as the others in the mean: the batch is all rotations of a row."""
    soft = torch.full_like(logits[:1], 1 / logits.shape[1])
    one = joint_optimization(logits[:1], soft, 1.0, 0.0) - soft_cross_entropy(logits[:1], soft)
    assert float(one) >= -1e-9
    turned = torch.stack([logits[0].roll(k) for k in range(logits.shape[1])])
    even = soft.expand_as(turned)
    cost = joint_optimization(turned, even, 1.0, 0.0) - soft_cross_entropy(turned, even)
    torch.testing.assert_close(cost, torch.zeros_like(cost), atol=1e-9, rtol=0)


def test_a_class_that_nothing_predicts_costs_much_and_not_infinity() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]] * 3, requires_grad=True)
    losses = joint_optimization(logits, torch.tensor([[1.0, 0.0, 0.0]] * 3), 1.0, 1.0)
    assert losses.tolist() == pytest.approx([1e4 - math.log(3)] * 3)
    losses.sum().backward()
    assert bool(logits.grad.isfinite().all())  # type: ignore[union-attr]


def test_no_value_is_read_and_an_empty_batch_has_no_loss() -> None:
    logits, soft = batch()[0], soft_labels(torch.float32)
    assert joint_optimization(logits.to("meta"), soft.to("meta"), 1.2, 0.8).shape == (B,)
    assert joint_optimization(logits[:0], soft[:0], 1.2, 0.8).shape == (0,)


def test_wrong_arguments() -> None:
    logits, soft = batch()[0], soft_labels(torch.float32)
    with pytest.raises(ValueError, match="`alpha` must be at least 0 and finite, got -1"):
        joint_optimization(logits, soft, -1, 0.8)
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got nan"):
        joint_optimization(logits, soft, 1.2, math.nan)
    with pytest.raises(ValueError, match=rf"`soft_targets` must have the shape of `logits`, got \(16, {C - 1}\)"):
        joint_optimization(logits, soft[:, 1:], 1.2, 0.8)
    with pytest.raises(TypeError, match=r"`soft_targets` must be floating point, got torch\.int64"):
        joint_optimization(logits, soft.long(), 1.2, 0.8)
