"""Labels that networks make, against slow float64 loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisylearn.selection import co_guess, co_refine, mean_probs, sharpen
from tests.unit.losses.contract import log_softmax

K, B, C = 3, 6, 5
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def predictions(dtype: torch.dtype, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (scale * torch.randn(K, B, C, generator=generator, dtype=torch.float64)).to(dtype)


def slow_sharpen(row: list[float], temperature: float) -> list[float]:
    raised = [p ** (1 / temperature) for p in row]
    return [p / math.fsum(raised) for p in raised]


def slow_mean(logits: Tensor, i: int) -> list[float]:
    each = [[math.exp(v) for v in log_softmax(view[i])] for view in logits.double().tolist()]
    return [math.fsum(p) / K for p in zip(*each, strict=True)]


def close(found: Tensor, expected: list[list[float]], dtype: torch.dtype) -> None:
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert not found.requires_grad
    for row, slow in zip(found.tolist(), expected, strict=True):
        assert row == pytest.approx(slow, rel=1e-10 if dtype == torch.float64 else 1e-4, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_equal_the_slow_loops(dtype: torch.dtype, temperature: float) -> None:
    logits = predictions(dtype).requires_grad_()
    means = [slow_mean(logits, i) for i in range(B)]
    close(mean_probs(logits), means, dtype)
    close(co_guess(logits, temperature), [slow_sharpen(row, temperature) for row in means], dtype)
    targets, clean = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 0.9])
    refined = []
    for row, y, w in zip(means, targets.tolist(), clean.double().tolist(), strict=True):
        between = [w * (c == y) + (1 - w) * p for c, p in enumerate(row)]
        refined.append(slow_sharpen(between, temperature))
    close(co_refine(targets, clean, logits, temperature), refined, dtype)


def test_sharpen_survives_what_would_underflow() -> None:
    sharp = sharpen(torch.tensor([[1e-30, 2e-30, 0.0]]), temperature=0.5)
    torch.testing.assert_close(sharp, torch.tensor([[0.2, 0.8, 0.0]]))
    torch.testing.assert_close(sharpen(torch.full((4,), 0.25), temperature=0.01), torch.full((4,), 0.25))


def test_nothing_waits_for_a_device() -> None:
    logits, rows = predictions(torch.float32).to("meta"), torch.zeros(B, device="meta")
    assert co_guess(logits).shape == co_refine(rows.long(), rows, logits).shape == (B, C)


def test_wrong_arguments() -> None:
    logits, targets, clean = predictions(torch.float32), torch.zeros(B, dtype=torch.int64), torch.ones(B)
    with pytest.raises(ValueError, match="`temperature` must be above 0, got 0"):
        sharpen(clean, 0)
    with pytest.raises(ValueError, match="`temperature` must be finite and at least 0, got -1"):
        co_guess(logits, -1)
    with pytest.raises(TypeError, match=r"`probs` must be floating point, got torch\.int64"):
        sharpen(targets, 0.5)
    with pytest.raises(ValueError, match=r"`logits` must be \(K, B, C\), got shape \(6, 5\)"):
        mean_probs(logits[0])
    with pytest.raises(ValueError, match=r"`targets` and `clean` must be \(6,\).*got \(6,\) and \(6, 1\)"):
        co_refine(targets, clean.unsqueeze(1), logits)
