"""The losses of samples without a label, against slow float64 loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisylearn.losses import class_prior_penalty, consistency, squared_error
from tests.unit.losses.contract import B, C, batch, log_softmax

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def probs_of(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(-1).to(dtype)


def rows(logits: Tensor) -> list[list[float]]:
    return [[math.exp(v) for v in log_softmax(row)] for row in logits.double().tolist()]


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_squared_error_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, probs = batch(dtype, scale)[0], probs_of(dtype)
    found = squared_error(logits, probs)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = [
        math.fsum((a - b) ** 2 for a, b in zip(p, t, strict=True)) / C
        for p, t in zip(rows(logits), probs.double().tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-10 if dtype == torch.float64 else 1e-5, abs=1e-9)


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_class_prior_penalty_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, _ = batch(dtype, scale)
    found = class_prior_penalty(logits)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    mean = [math.fsum(column) / B for column in zip(*rows(logits), strict=True)]
    expected = math.fsum(1 / C * math.log(1 / C / m) for m in mean)
    assert float(found) == pytest.approx(expected, rel=1e-10 if dtype == torch.float64 else 1e-5, abs=1e-6)


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_consistency_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, _ = batch(dtype, scale)
    other = logits.flip(0)
    found = consistency(logits, other)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = []
    for z, o in zip(logits.double().tolist(), other.double().tolist(), strict=True):
        pairs = zip(log_softmax(z), log_softmax(o), strict=True)
        expected.append(math.fsum(math.exp(a) * (a - b) for a, b in pairs))
    assert found.tolist() == pytest.approx(expected, rel=1e-10 if dtype == torch.float64 else 1e-5, abs=1e-5)


def test_the_first_view_is_a_constant_of_consistency() -> None:
    logits, _ = batch(torch.float64, 1.0)
    other = logits.flip(0).requires_grad_()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: consistency(logits, z), other)
    to_first, to_other = torch.autograd.grad(consistency(logits, other).sum(), (logits, other), allow_unused=True)
    assert to_first is None
    assert to_other.any()
    assert not consistency(logits, logits.detach()).any()


def test_gradients_are_those_of_the_formulas() -> None:
    logits, _ = batch(torch.float64, 1.0)
    probs = probs_of().requires_grad_()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(squared_error, (logits, probs))
    assert torch.autograd.gradcheck(class_prior_penalty, logits)


def test_extreme_logits_give_finite_values_and_gradients() -> None:
    logits = torch.zeros(3, C)
    logits[:, 0] = 1e4  # no other class is ever predicted: the mean of the others underflows
    logits.requires_grad_()
    for loss in (class_prior_penalty(logits), squared_error(logits, probs_of(torch.float32)[:3]).sum()):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


def test_the_penalty_is_zero_for_balanced_predictions_and_belongs_to_the_batch() -> None:
    sure = 30 * torch.eye(C)
    assert float(class_prior_penalty(sure)) == pytest.approx(0, abs=1e-6)
    assert float(class_prior_penalty(sure[:3])) > 1
    with torch.autocast("cpu", torch.bfloat16):
        assert class_prior_penalty(sure[:3]) == class_prior_penalty(sure[:3].clone())


def test_neither_reads_a_value() -> None:
    logits = torch.zeros(4, C, device="meta")
    assert squared_error(logits, logits).shape == (4,)
    assert class_prior_penalty(logits).shape == ()


def test_wrong_arguments() -> None:
    logits, _ = batch()
    with pytest.raises(ValueError, match=r"`probs` must have the shape of `logits`, got \(16, 6\)"):
        squared_error(logits, probs_of()[:, :6])
    with pytest.raises(TypeError, match="`probs` must be floating point"):
        squared_error(logits, logits.long())
    with pytest.raises(ValueError, match=r"`logits` must be \(B, C\)"):
        class_prior_penalty(logits[0])
    with pytest.raises(ValueError, match=r"`other` must have the shape of `logits`, got \(3, 7\)"):
        consistency(logits, logits[:3])
