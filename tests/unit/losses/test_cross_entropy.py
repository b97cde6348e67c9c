"""Cross-entropy per sample against a slow float64 loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses import cross_entropy, soft_cross_entropy


def log_softmax_slow(row: Sequence[float]) -> list[float]:
    top = max(row)
    total = math.fsum(math.exp(z - top) for z in row)
    return [z - top - math.log(total) for z in row]


def soft_slow(logits: Tensor, probs: Tensor) -> list[float]:
    rows = zip(logits.double().tolist(), probs.double().tolist(), strict=True)
    return [-math.fsum(q * lp for q, lp in zip(p, log_softmax_slow(z), strict=True)) for z, p in rows]


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(16, 7, generator=generator)).to(dtype)
    targets = torch.randint(0, 7, (16,), generator=generator)
    return logits, targets, torch.rand(16, 7, generator=generator).softmax(-1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_both_equal_the_slow_loop_of_what_they_were_given(dtype: torch.dtype) -> None:
    logits, targets, probs = batch(dtype)
    onehot = F.one_hot(targets, 7)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for got, soft in (
        (cross_entropy(logits, targets), onehot),
        (soft_cross_entropy(logits, probs.to(dtype)), probs.to(dtype)),
    ):
        assert got.shape == (16,)
        assert got.dtype == wide
        assert got.tolist() == pytest.approx(soft_slow(logits, soft), rel=1e-5 if wide == torch.float32 else 1e-12)


def test_the_soft_one_generalises_the_other() -> None:
    logits, targets, _ = batch(torch.float64)
    onehot = F.one_hot(targets, 7).double()
    assert torch.allclose(soft_cross_entropy(logits, onehot), cross_entropy(logits, targets))


def test_gradients() -> None:
    logits, targets, probs = batch(torch.float64)
    logits.requires_grad_()
    probs = probs.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, targets), logits)
    assert torch.autograd.gradcheck(soft_cross_entropy, (logits, probs))


def test_autocast_does_not_lower_the_precision() -> None:
    logits, targets, probs = batch()
    with torch.autocast("cpu", torch.bfloat16):
        inside = cross_entropy(logits, targets), soft_cross_entropy(logits, probs)
    outside = cross_entropy(logits, targets), soft_cross_entropy(logits, probs)
    for a, b in zip(inside, outside, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_bfloat16_logits_do_not_tie_in_their_losses() -> None:
    logits = torch.stack([torch.zeros(64), torch.linspace(8, 8.5, 64).bfloat16().float()], dim=1).bfloat16()
    targets = torch.ones(64, dtype=torch.int64)
    assert len(cross_entropy(logits, targets).unique()) == len(logits.unique(dim=0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_dtype_is_a_label(dtype: torch.dtype) -> None:
    logits, targets, _ = batch()
    assert torch.equal(cross_entropy(logits, targets.to(dtype)), cross_entropy(logits, targets))


@pytest.mark.parametrize("label", [-100, -1, 7])
def test_a_label_out_of_range_is_never_a_loss(label: int) -> None:
    logits, targets, _ = batch()
    targets[3] = label
    with pytest.raises(IndexError, match=f"Target {label} is out of bounds"):
        cross_entropy(logits, targets)


def test_nan_logits_give_nan_in_their_row_only() -> None:
    logits, targets, _ = batch()
    logits[2, 0] = math.nan
    assert cross_entropy(logits, targets).isnan().nonzero().flatten().tolist() == [2]


def test_an_empty_batch_gives_no_loss() -> None:
    assert cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize(
    ("logits", "targets", "error", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2), TypeError, "`targets` must be integer class ids, got torch.float32: pass"),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool), TypeError, "`targets` must be integer class ids"),
        (torch.zeros(2, 3).long(), torch.zeros(2).long(), TypeError, "`logits` must be floating point"),
        (torch.zeros(2), torch.zeros(2).long(), ValueError, r"`logits` must be \(B, C\), got shape \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(3).long(), ValueError, r"`targets` must be \(B,\), got \(3,\) for logits"),
        (torch.zeros(2, 3), torch.zeros(2, 1).long(), ValueError, r"`targets` must be \(B,\), got \(2, 1\)"),
    ],
)
def test_wrong_arguments(logits: Tensor, targets: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cross_entropy(logits, targets)


def test_wrong_soft_targets() -> None:
    with pytest.raises(TypeError, match=r"`probs` must be floating point, got torch\.int64"):
        soft_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3).long())
    with pytest.raises(ValueError, match=r"`probs` must have the shape of `logits`, got \(3,\) for logits"):
        soft_cross_entropy(torch.zeros(2, 3), torch.zeros(3))
