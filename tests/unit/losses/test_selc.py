"""The step of SELC's targets against a slow float64 loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import selc_target_update
from tests.unit.losses.contract import ROWS, batch, log_softmax, unhurried


def slow(soft: Tensor, logits: Tensor, momentum: float) -> list[list[float]]:
    out = []
    for t, z in zip(soft.double().tolist(), logits.double().tolist(), strict=True):
        out.append([momentum * a + (1 - momentum) * math.exp(b) for a, b in zip(t, log_softmax(z), strict=True)])
    return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_the_slow_loop(dtype: torch.dtype) -> None:
    logits, _ = batch(dtype)
    soft = batch(torch.float64)[0].flip(0).softmax(-1).to(dtype)
    before = soft.clone()
    new = selc_target_update(soft, logits, momentum=0.8)
    wide, rel = (torch.float64, 1e-12) if dtype == torch.float64 else (torch.float32, 1e-5)
    assert new.dtype == wide
    for row, expected in zip(new.tolist(), slow(soft, logits, 0.8), strict=True):
        assert row == pytest.approx(expected, rel=rel)
    assert torch.equal(soft, before)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(selc_target_update(soft, logits, momentum=0.8), new)


@unhurried
@given(ROWS, st.floats(0, 1))
def test_a_distribution_stays_one_and_forgets_its_label(logits: Tensor, momentum: float) -> None:
    soft = torch.eye(logits.shape[1], dtype=torch.float64)[torch.zeros(len(logits), dtype=torch.int64)]
    for _ in range(3):
        soft = selc_target_update(soft, logits, momentum)
    p = logits.softmax(-1)
    expected = (1 - momentum**3) * p
    expected[:, 0] += momentum**3
    torch.testing.assert_close(soft, expected)


def test_no_gradient_flows() -> None:
    logits, _ = batch(torch.float64)
    soft = logits.softmax(-1)
    assert not selc_target_update(soft.requires_grad_(), logits.requires_grad_()).requires_grad


def test_wrong_arguments() -> None:
    logits, _ = batch()
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\], got 1.5: pass the share"):
        selc_target_update(logits, logits, momentum=1.5)
    with pytest.raises(ValueError, match=r"`soft_targets` must have the shape of `logits`, got \(16, 6\)"):
        selc_target_update(logits[:, :6], logits)
    with pytest.raises(TypeError, match=r"`soft_targets` must be floating point, got torch\.int64"):
        selc_target_update(logits.long(), logits)
