"""The loss of PENCIL against a slow float64 loop, and where its label distributions come to rest."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from noisylearn.losses import pencil
from tests.unit.losses.contract import CHECKS, ROWS, Check, batch, log_softmax, unhurried

ROW = [1.0, -2.0, 0.5, 0.0, 3.0, -1.0, 0.25]
LOG_Y = log_softmax(ROW)


def slow(
    p: list[float], log_p: list[float], y: int, alpha: float = 0.4, undivided: bool = False, double: bool = False
) -> float:
    divergence = math.fsum(a * (b - c) for a, b, c in zip(p, log_p, LOG_Y, strict=True))
    entropy = -math.fsum(a * b for a, b in zip(p, log_p, strict=True))
    held = -(log_softmax([math.exp(v) for v in LOG_Y]) if double else LOG_Y)[y]
    return (divergence + 0.1 * entropy) / len(p) + alpha * (held if undivided else held / len(p))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("undivided", [False, True])
@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: Check, undivided: bool, double: bool) -> None:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        labels = torch.tensor(ROW, dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32)
        labels = labels.to(logits.device).expand_as(logits)
        switches = {"legacy_undivided_alpha": undivided, "legacy_double_softmax": double}
        return pencil(logits, targets, labels, 0.4, 0.1, **switches)

    check(loss, lambda p, log_p, y: slow(p, log_p, y, 0.4, undivided, double))


@pytest.mark.parametrize("double", [False, True])
def test_the_gradient_of_the_label_distributions(double: bool) -> None:
    logits, targets = batch(torch.float64)
    rows = batch(torch.float64)[0].flip(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: pencil(logits, targets, r, 0.4, 0.1, legacy_double_softmax=double), rows)


def test_it_is_the_three_means_of_the_authors_code() -> None:
    """Over samples and classes, over samples, over samples and classes."""
    logits, targets = batch(torch.float64)
    rows = batch(torch.float64)[0].flip(0)
    y = rows.softmax(1)
    p, log_p = logits.softmax(1), logits.log_softmax(1)
    code = torch.mean(p * (log_p - y.log())) + 0.3 * F.cross_entropy(y, targets) - 0.2 * torch.mean(p * log_p)
    ours = pencil(logits, targets, rows, 0.3, 0.2, legacy_undivided_alpha=True, legacy_double_softmax=True)
    torch.testing.assert_close(ours.mean(), code)


@unhurried
@given(ROWS, st.floats(0, 4))
def test_labels_rest_between_the_prediction_and_the_given_label(logits: Tensor, alpha: float) -> None:
    """At ``y = (p + alpha * given) / (1 + alpha)`` the labels have no gradient."""
    targets = torch.zeros(len(logits), dtype=torch.int64)
    given_label = F.one_hot(targets, logits.shape[1]).double()
    logits = logits.clamp(-9, 9)
    rest = ((logits.softmax(1) + alpha * given_label) / (1 + alpha)).log().requires_grad_()
    (gradient,) = torch.autograd.grad(pencil(logits, targets, rest, alpha, 0.1).sum(), rest)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-9, rtol=0)


def test_with_two_softmaxes_a_label_gone_over_is_not_called_back() -> None:
    sure_of_another, given_label = torch.tensor([[0.0, 10.0]], requires_grad=True), torch.tensor([0])
    logits = torch.tensor([[0.0, 10.0]])
    pulls = []
    for double in (False, True):
        loss = pencil(logits, given_label, sure_of_another, 1.0, 0.0, legacy_double_softmax=double)
        (gradient,) = torch.autograd.grad(loss.sum(), sure_of_another)
        pulls.append(float(gradient.abs().max()))
    assert pulls[0] > 1000 * pulls[1]


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match="`alpha` must be at least 0 and finite, got -1"):
        pencil(logits, targets, logits, alpha=-1)
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got nan"):
        pencil(logits, targets, logits, beta=math.nan)
    with pytest.raises(ValueError, match=r"`label_logits` must have the shape of `logits`, got \(16, 6\)"):
        pencil(logits, targets, logits[:, :6])
    with pytest.raises(TypeError, match=r"`label_logits` must be floating point, got torch\.int64"):
        pencil(logits, targets, logits.long())
