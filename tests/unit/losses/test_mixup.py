"""Cross-entropy of mixed samples."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, mixup, mixup_cross_entropy, soft_cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, B, C, Check, batch, unhurried


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return mixup_cross_entropy(logits, targets, (targets + 1) % C, lam=0.7)


def slow(p: list[float], log_p: list[float], y: int) -> float:
    return -0.7 * log_p[y] - 0.3 * log_p[(y + 1) % len(p)]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: Check) -> None:
    check(loss, slow)


@unhurried
@given(ROWS, st.floats(0, 1))
def test_it_is_cross_entropy_against_the_mixed_labels(logits: Tensor, lam: float) -> None:
    classes = logits.shape[1]
    targets, others = logits.argmax(-1), logits.argmin(-1)
    mixed = lam * F.one_hot(targets, classes).double() + (1 - lam) * F.one_hot(others, classes).double()
    assert torch.allclose(mixup_cross_entropy(logits, targets, others, lam), soft_cross_entropy(logits, mixed))


def test_the_ends_are_cross_entropy_of_one_label() -> None:
    logits, targets = batch(torch.float64)
    others = targets.flip(0)
    assert torch.equal(mixup_cross_entropy(logits, targets, others, 1), cross_entropy(logits, targets))
    assert torch.equal(mixup_cross_entropy(logits, targets, others, 0), cross_entropy(logits, others))


def test_the_share_may_be_a_tensor_of_the_batch_or_of_the_samples() -> None:
    logits, targets = batch()
    others, shares = targets.flip(0), torch.linspace(0, 1, B)
    each = mixup_cross_entropy(logits, targets, others, shares)
    for i, share in enumerate(shares.tolist()):
        assert each[i].item() == pytest.approx(mixup_cross_entropy(logits, targets, others, share)[i].item(), rel=1e-5)
    scalar = mixup_cross_entropy(logits, targets, others, torch.tensor(0.25, dtype=torch.float64))
    assert scalar.dtype == torch.float32
    assert torch.allclose(scalar, mixup_cross_entropy(logits, targets, others, 0.25))
    rounded = shares.bfloat16()
    assert torch.equal(
        mixup_cross_entropy(logits, targets, others, rounded),
        mixup_cross_entropy(logits, targets, others, rounded.float()),
    )


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\], got 1.5: pass the share of `targets`"):
        mixup_cross_entropy(logits, targets, targets, 1.5)
    with pytest.raises(TypeError, match=r"`lam` must be floating point, got torch\.int64"):
        mixup_cross_entropy(logits, targets, targets, torch.tensor(1))
    with pytest.raises(ValueError, match=r"`lam` must have shape \(\) or \(B,\), got \(16, 1\) for targets"):
        mixup_cross_entropy(logits, targets, targets, torch.ones(B, 1))
    with pytest.raises(ValueError, match=r"`other_targets` must be \(B,\), got \(3,\) for targets of shape \(16,\)"):
        mixup_cross_entropy(logits, targets, targets[:3], 0.5)
    with pytest.raises(TypeError, match=r"`other_targets` must be integers, got torch\.float32: pass the class ids"):
        mixup_cross_entropy(logits, targets, targets.float(), 0.5)
    with pytest.raises(IndexError, match="out of bounds"):
        mixup_cross_entropy(logits, targets, torch.full((B,), -100), 0.5)


def test_each_row_is_mixed_with_its_partner() -> None:
    values = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.tensor([4, 0, 3, 2, 1])
    for lam in (0.7, torch.tensor(0.7, dtype=torch.float64)):
        mixed = mixup(values, order, lam)
        for i, j in enumerate(order.tolist()):
            torch.testing.assert_close(mixed[i], 0.7 * values[i] + 0.3 * values[j])
    assert torch.equal(mixup(values, order, 1.0), values)
    assert torch.equal(mixup(values, order, 0.0), values[order])
    assert mixup(values.bfloat16(), order, torch.tensor(0.7)).dtype == torch.bfloat16
    assert mixup(values.to("meta"), order.to("meta"), torch.tensor(0.7)).device.type == "meta"


def test_what_cannot_be_mixed() -> None:
    values, order = torch.zeros(4, 3), torch.arange(4)
    with pytest.raises(TypeError, match=r"`values` must be floating point, got torch\.uint8"):
        mixup(values.byte(), order, 0.5)
    with pytest.raises(ValueError, match=r"`order` must be \(B,\), got \(3,\) for values of shape \(4, 3\)"):
        mixup(values, order[:3], 0.5)
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\], got 2"):
        mixup(values, order, 2)
