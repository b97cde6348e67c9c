"""What every per-sample loss promises, as checks of a loss and its slow, obvious form.

A loss under test is a function of logits and targets. Its slow form is one sample at a time, in Python's float64: it
takes the probabilities, their logarithms and the label.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
Slow = Callable[[list[float], list[float], int], float]
Check = Callable[[Loss, Slow], None]

B, C = 16, 7

ROWS = (
    st.integers(2, 6)
    .flatmap(lambda c: st.lists(st.lists(st.floats(-30, 30), min_size=c, max_size=c), min_size=1, max_size=5))
    .map(lambda rows: torch.tensor(rows, dtype=torch.float64))
)
"""Hypothesis: float64 logits, at least one row and two classes."""

unhurried = settings(deadline=None, max_examples=50)
"""Hypothesis: a busy machine is not a failure."""


def log_softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    total = math.fsum(math.exp(z - top) for z in row)
    return [z - top - math.log(total) for z in row]


def run_slow(slow: Slow, logits: Tensor, targets: Tensor) -> list[float]:
    out = []
    for row, y in zip(logits.double().tolist(), targets.tolist(), strict=True):
        log_p = log_softmax(row)
        out.append(slow([math.exp(v) for v in log_p], log_p, y))
    return out


def batch(dtype: torch.dtype = torch.float32, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(B, C, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(0, C, (B,), generator=generator)


def over_labels(loss: Loss, logits: Tensor) -> Tensor:
    """The loss of each row for every label it could have: ``(B, C)``."""
    each = [loss(logits, torch.full((len(logits),), c)) for c in range(logits.shape[1])]
    return torch.stack(each, dim=1)


def equals_the_slow_loop(loss: Loss, slow: Slow) -> None:
    for scale in (0.5, 3.0, 20.0):
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            logits, targets = batch(dtype, scale)
            got = loss(logits, targets)
            assert got.shape == (B,)
            assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            expected = run_slow(slow, logits, targets)
            rel, near = (1e-10, 1e-12) if dtype == torch.float64 else (1e-5, 1e-6)
            assert got.tolist() == pytest.approx(expected, rel=rel, abs=near * max(1.0, *map(abs, expected)))


def has_the_gradient_of_its_formula(loss: Loss, slow: Slow) -> None:
    for scale in (0.5, 3.0):
        logits, targets = batch(torch.float64, scale)
        assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())  # noqa: B023


def is_finite_for_extreme_logits(loss: Loss, slow: Slow) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        for top in (1e4, -1e4, 30.0, 88.0, 17.0):
            rows = torch.zeros(C, C, dtype=dtype)
            rows[:, 2] = top
            rows[0] = torch.linspace(-1e4, 1e4, C)
            rows.requires_grad_()
            for y in range(C):
                out = loss(rows, torch.full((C,), y))
                assert out.isfinite().all(), (dtype, top, y)
                (grad,) = torch.autograd.grad(out.sum(), rows)
                assert grad.isfinite().all(), (dtype, top, y)


def is_the_same_under_autocast(loss: Loss, slow: Slow) -> None:
    logits, targets = batch()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(logits, targets)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(logits, targets))


def takes_integer_labels_only(loss: Loss, slow: Slow) -> None:
    logits, targets = batch()
    for dtype in (torch.uint8, torch.int32):
        assert torch.equal(loss(logits, targets.to(dtype)), loss(logits, targets))
    with pytest.raises(TypeError, match="`targets` must be integer class ids"):
        loss(logits, targets.float())
    with pytest.raises(ValueError, match=r"`targets` must be \(B,\)"):
        loss(logits, targets.unsqueeze(1))
    with pytest.raises(TypeError, match="`logits` must be floating point"):
        loss(logits.long(), targets)
    for stray in (-100, -1, C):
        wrong = targets.clone()
        wrong[3] = stray
        with pytest.raises(IndexError, match="out of bounds"):
            loss(logits, wrong)


def reads_no_value(loss: Loss, slow: Slow) -> None:
    """A tensor of the meta device has no values to read, so what runs on it makes no device wait."""
    logits, targets = batch()
    out = loss(logits.to("meta"), targets.to("meta"))
    assert out.shape == (B,)
    assert out.device.type == "meta"


def keeps_samples_apart(loss: Loss, slow: Slow) -> None:
    logits, targets = batch()
    whole = loss(logits, targets)
    assert torch.allclose(loss(logits[:5], targets[:5]), whole[:5])
    assert loss(logits[:0], targets[:0]).shape == (0,)
    logits[2, 0] = math.nan
    assert loss(logits, targets).isnan().nonzero().flatten().tolist() == [2]


CHECKS: list[Check] = [
    equals_the_slow_loop,
    has_the_gradient_of_its_formula,
    is_finite_for_extreme_logits,
    is_the_same_under_autocast,
    takes_integer_labels_only,
    reads_no_value,
    keeps_samples_apart,
]
