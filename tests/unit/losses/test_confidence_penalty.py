"""The penalties on too sure predictions against slow float64 loops."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import other_classes_penalty, runner_up_penalty
from tests.unit.losses.contract import CHECKS, ROWS, Check, Loss, Slow, batch, unhurried


def runner_up(logits: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """With labels that it does not read but that a loss is checked for."""
    return runner_up_penalty(logits, threshold) + 0 * other_classes_penalty(logits, targets)


def slow_runner_up(p: list[float], log_p: list[float], y: int, threshold: float) -> float:
    order = sorted(range(len(p)), key=p.__getitem__, reverse=True)
    return max(threshold - p[order[1]] / p[order[0]], 0.0) * -log_p[order[1]]


def slow_others(p: list[float], log_p: list[float], y: int, threshold: float) -> float:
    terms = [max(threshold - p[c] / p[y], 0.0) * -log_p[c] for c in range(len(p)) if p[c] < p[y]]
    return sum(terms) / (len(p) - 1)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("threshold", [0.2, 0.8])
@pytest.mark.parametrize(
    ("loss", "slow"), [(runner_up, slow_runner_up), (other_classes_penalty, slow_others)], ids=["runner-up", "others"]
)
def test_contract(check: Check, threshold: float, loss: Loss, slow: Slow) -> None:
    check(partial(loss, threshold=threshold), partial(slow, threshold=threshold))


@unhurried
@given(ROWS, st.floats(0, 1))
def test_they_are_never_negative_and_nothing_where_nothing_is_too_unlikely(logits: Tensor, threshold: float) -> None:
    targets = logits.argmax(-1)
    assert (runner_up_penalty(logits, threshold) >= 0).all()
    assert (other_classes_penalty(logits, targets, threshold) >= 0).all()
    flat = torch.zeros_like(logits)
    assert not runner_up_penalty(flat, threshold).any()
    assert not other_classes_penalty(flat, targets, threshold).any()


def test_a_label_that_is_not_predicted_counts_the_classes_below_it_alone() -> None:
    logits = torch.tensor([[3.0, 0.0, -4.0]])
    expected = (0.2 - torch.exp(torch.tensor(-4.0))) * -logits.log_softmax(-1)[0, 2] / 2
    assert float(other_classes_penalty(logits, torch.tensor([1]), 0.2)) == pytest.approx(float(expected))


@pytest.mark.parametrize("lower", [runner_up_penalty, lambda z, t: other_classes_penalty(z, z.argmax(-1), t)])
def test_a_step_down_makes_a_prediction_less_sure(lower: Loss) -> None:
    logits = torch.tensor([[4.0, 0.0, -1.0]], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(lower(logits, 0.2).sum(), logits)  # type: ignore[arg-type]
    before = logits.detach()
    assert float((before - 0.1 * grad).softmax(-1).max()) < float(before.softmax(-1).max())


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`threshold` must be in \[0, 1\], got 2: pass the ratio below which"):
        runner_up_penalty(logits, 2)
    with pytest.raises(ValueError, match=r"`threshold` must be in \[0, 1\], got -0.1"):
        other_classes_penalty(logits, targets, -0.1)
    with pytest.raises(TypeError, match="`logits` must be floating point"):
        runner_up_penalty(logits.long())
