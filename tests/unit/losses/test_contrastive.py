"""The contrastive loss against a slow float64 loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisylearn.losses import contrastive

B, D = 6, 4


def views(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    both = torch.randn(2, B, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return both[0].to(dtype), (both[0] + 0.5 * both[1]).to(dtype)


def slow(first: Tensor, second: Tensor, temperature: float) -> list[float]:
    rows = [*first.double().tolist(), *second.double().tolist()]
    unit = [[v / math.sqrt(math.fsum(x * x for x in row)) for v in row] for row in rows]
    likeness = [[math.fsum(a * b for a, b in zip(one, two, strict=True)) / temperature for two in unit] for one in unit]
    each = []
    for i, row in enumerate(likeness):
        total = math.fsum(math.exp(v) for j, v in enumerate(row) if j != i)
        each.append(math.log(total) - row[(i + len(first)) % len(rows)])
    return [(each[i] + each[i + len(first)]) / 2 for i in range(len(first))]


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_the_slow_loop(dtype: torch.dtype, temperature: float) -> None:
    one, other = views(dtype)
    found = contrastive(one, other, temperature)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.tolist() == pytest.approx(
        slow(one, other, temperature), rel=1e-9 if dtype == torch.float64 else 1e-3, abs=1e-5
    )


def test_the_gradient_is_that_of_the_formula() -> None:
    one, other = (view.requires_grad_() for view in views())
    assert torch.autograd.gradcheck(lambda a, b: contrastive(a, b, 0.5), (one, other))


def test_autocast_changes_nothing() -> None:
    one, other = views(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = contrastive(one, other)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, contrastive(one, other))


def test_a_single_sample_has_no_others_to_be_told_from() -> None:
    one, other = views()
    assert contrastive(one[:1], other[:1]).tolist() == pytest.approx([0.0])
    assert contrastive(one[:0], other[:0]).shape == (0,)


def test_it_reads_no_value() -> None:
    rows = torch.zeros(B, D, device="meta")
    assert contrastive(rows, rows).shape == (B,)


def test_wrong_arguments() -> None:
    one, other = views()
    with pytest.raises(ValueError, match=r"`temperature` must be positive and finite, got 0: pass e\.g\. 0\.05"):
        contrastive(one, other, 0)
    with pytest.raises(ValueError, match=r"`first` and `second` must be \(B, D\), got \(6, 4\) and \(5, 4\)"):
        contrastive(one, other[:5])
    with pytest.raises(TypeError, match=r"must be floating point, got torch\.int64 and torch\.float64"):
        contrastive(one.long(), other)
