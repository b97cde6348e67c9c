"""Early-learning regularization against a slow float64 loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, elr, elr_plus, elr_regularizer, elr_target_update


def clamped_slow(row: list[float]) -> list[float]:
    top = max(row)
    exps = [math.exp(z - top) for z in row]
    return [min(max(e / math.fsum(exps), 1e-4), 1 - 1e-4) for e in exps]


def regularizer_slow(logits: Tensor, ema: Tensor) -> list[float]:
    out = []
    for z, t in zip(logits.double().tolist(), ema.double().tolist(), strict=True):
        out.append(math.log(1 - math.fsum(a * b for a, b in zip(t, clamped_slow(z), strict=True))))
    return out


def update_slow(ema: Tensor, logits: Tensor, beta: float) -> list[list[float]]:
    out = []
    for z, t in zip(logits.double().tolist(), ema.double().tolist(), strict=True):
        p = clamped_slow(z)
        out.append([beta * a + (1 - beta) * b / math.fsum(p) for a, b in zip(t, p, strict=True)])
    return out


def batch(dtype: torch.dtype = torch.float64, scale: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(12, 5, generator=generator, dtype=torch.float64)).to(dtype)
    targets = torch.randint(0, 5, (12,), generator=generator)
    ema = 0.8 * torch.randn(12, 5, generator=generator, dtype=torch.float64).softmax(-1)
    return logits, targets, ema.to(dtype)


@pytest.mark.parametrize("scale", [0.5, 2.0, 20.0])  # the last one reaches the clamp on both sides
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_all_equal_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, targets, ema = batch(dtype, scale)
    wide, close = (torch.float64, 1e-10) if dtype == torch.float64 else (torch.float32, 2e-4)
    reg = elr_regularizer(logits, ema)
    assert reg.dtype == wide
    assert reg.tolist() == pytest.approx(regularizer_slow(logits, ema), rel=close)
    new = elr_target_update(ema, logits, beta=0.7)
    assert new.dtype == wide
    for row, slow in zip(new.tolist(), update_slow(ema, logits, 0.7), strict=True):
        assert row == pytest.approx(slow, rel=close)
    both = elr(logits, targets, ema, lam=3.0)
    assert both.dtype == wide
    assert torch.equal(both, cross_entropy(logits, targets) + 3.0 * reg)


def test_gradients_are_those_of_the_formula() -> None:
    logits, targets, ema = batch(scale=1.0)  # no probability near the clamp
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: elr_regularizer(z, ema), logits)
    assert torch.autograd.gradcheck(lambda z: elr(z, targets, ema, 3.0), logits)


def test_the_clamp_stops_the_gradient() -> None:
    logits = torch.tensor([[20.0, -20.0], [0.3, -0.3]], requires_grad=True)
    ema = torch.tensor([[0.2, 0.7], [0.2, 0.7]])
    (grad,) = torch.autograd.grad(elr_regularizer(logits, ema).sum(), logits)
    assert not grad[0].any()
    assert grad[1].all()


def test_the_target_is_a_constant() -> None:
    logits, _, ema = batch()
    logits.requires_grad_()
    ema.requires_grad_()
    assert not elr_target_update(ema, logits, beta=0.7).requires_grad
    elr_regularizer(logits, ema).sum().backward()
    assert ema.grad is None
    assert logits.grad is not None


def test_the_update_leaves_its_arguments_alone() -> None:
    logits, _, ema = batch()
    before = ema.clone()
    elr_target_update(ema, logits, beta=0.5)
    assert torch.equal(ema, before)


def test_targets_start_empty_and_fill_up() -> None:
    logits, _, _ = batch(torch.float32)
    ema = torch.zeros(12, 5)
    assert not elr_regularizer(logits, ema).any()
    for step in range(1, 6):
        ema = elr_target_update(ema, logits, beta=0.7)
        assert ema.sum(-1).tolist() == pytest.approx([1 - 0.7**step] * 12, rel=1e-5)


def test_full_agreement_is_bounded_also_in_bfloat16_under_autocast() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        reg = elr_regularizer(logits, torch.tensor([[1.0, 0.0, 0.0]]))
        loss = elr(logits, torch.tensor([1]), torch.tensor([[1.0, 0.0, 0.0]]), lam=3.0)
    assert reg.dtype == loss.dtype == torch.float32
    assert reg.item() == pytest.approx(math.log(1e-4), rel=1e-3)
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_autocast_changes_nothing() -> None:
    logits, targets, ema = batch(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = elr(logits, targets, ema, 3.0), elr_target_update(ema, logits, 0.7)
    outside = elr(logits, targets, ema, 3.0), elr_target_update(ema, logits, 0.7)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))


def test_the_gradient_of_a_wrong_label_is_weakened() -> None:
    logits = torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)  # believes class 0, is given class 1
    ema = torch.tensor([[0.9, 0.05, 0.05]])
    pull = [torch.autograd.grad(elr(logits, torch.tensor([1]), ema, lam).sum(), logits)[0][0, 1] for lam in (0.0, 1.0)]
    assert pull[0] < 0  # cross-entropy raises the wrong class
    assert pull[1] > pull[0] + 1e-3


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 6).flatmap(lambda c: st.lists(st.lists(st.floats(-50, 50), min_size=c, max_size=c), min_size=1)),
    st.floats(0, 1),
)
def test_targets_stay_sub_distributions_and_the_term_in_its_bounds(rows: list[list[float]], beta: float) -> None:
    logits = torch.tensor(rows)
    ema = torch.zeros_like(logits)
    for _ in range(3):
        ema = elr_target_update(ema, logits, beta)
    assert (ema >= 0).all()
    assert (ema.sum(-1) <= 1 + 1e-5).all()
    reg = elr_regularizer(logits, ema)
    assert (reg <= 0).all()
    assert (reg >= math.log(1e-4) - 1e-2).all()


def plus_slow(logits: Tensor, labels: Tensor, ema: Tensor, lam: float, reweight: bool) -> list[float]:
    out = []
    rows = (part.double().tolist() for part in (logits, labels, ema))
    for (z, y, t), reg in zip(zip(*rows, strict=True), regularizer_slow(logits, ema), strict=True):
        if reweight:
            products = [a * b for a, b in zip(y, t, strict=True)]
            y = [p / math.fsum(products) for p in products]
        top = max(z)
        log_sum = top + math.log(math.fsum(math.exp(v - top) for v in z))
        out.append(-math.fsum(a * (v - log_sum) for a, v in zip(y, z, strict=True)) + lam * reg)
    return out


@pytest.mark.parametrize("reweight", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_elr_plus_equals_the_slow_loop(dtype: torch.dtype, reweight: bool) -> None:
    logits, targets, ema = batch(dtype)
    one_hot = torch.eye(5, dtype=torch.float64)[targets]
    labels = (0.7 * one_hot + 0.3 * one_hot.flip(0)).to(dtype)
    found = elr_plus(logits, labels, ema, 3.0, reweight)
    wide, close = (torch.float64, 1e-10) if dtype == torch.float64 else (torch.float32, 5e-4)
    assert found.dtype == wide
    assert found.tolist() == pytest.approx(plus_slow(logits, labels, ema, 3.0, reweight), rel=close)


def test_elr_plus_of_one_hot_labels_is_elr() -> None:
    logits, targets, ema = batch()
    for reweight in (False, True):  # of a single label nothing is to be weighed
        found = elr_plus(logits, torch.eye(5, dtype=torch.float64)[targets], ema, 3.0, reweight)
        torch.testing.assert_close(found, elr(logits, targets, ema, 3.0))


def test_a_label_without_any_target_counts_nothing() -> None:
    logits = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = elr_plus(logits, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.5]]), 0.0, reweight=True)
    assert loss.tolist() == [0.0]
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert not gradient.any()


def test_wrong_arguments() -> None:
    logits, targets, ema = batch()
    with pytest.raises(ValueError, match=r"`beta` must be in \[0, 1\], got 1.5: pass the share"):
        elr_target_update(ema, logits, beta=1.5)
    with pytest.raises(ValueError, match=r"`ema_targets` must have the shape of `logits`, got \(12, 4\)"):
        elr(logits, targets, ema[:, :4], lam=1.0)
    with pytest.raises(TypeError, match=r"`ema_targets` must be floating point, got torch\.int64"):
        elr_target_update(ema.long(), logits, beta=0.7)
    with pytest.raises(ValueError, match=r"`targets` must be \(B,\)"):
        elr(logits, targets[:3], ema, lam=1.0)
