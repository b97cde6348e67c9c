"""Label smoothing, positive and negative."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, label_smoothing
from tests.unit.losses.contract import CHECKS, ROWS, Check, batch, over_labels, unhurried


def slow(p: list[float], log_p: list[float], y: int, rate: float = 0.1) -> float:
    labels = [(1 - rate) * (c == y) + rate / len(p) for c in range(len(p))]
    return -math.fsum(t * v for t, v in zip(labels, log_p, strict=True))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rate", [None, 0.6, -0.4, -8.0])
def test_contract(check: Check, rate: float | None) -> None:
    if rate is None:
        check(label_smoothing, slow)
    else:
        check(partial(label_smoothing, smoothing=rate), partial(slow, rate=rate))


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_it_is_torchs_where_torch_has_one(rate: float) -> None:
    logits, targets = batch(torch.float64)
    assert torch.allclose(
        label_smoothing(logits, targets, rate),
        F.cross_entropy(logits, targets, label_smoothing=rate, reduction="none"),
    )


@unhurried
@given(ROWS, st.floats(-8, 1))
def test_the_mean_over_all_labels_is_that_of_cross_entropy_whatever_the_rate(logits: Tensor, rate: float) -> None:
    smoothed = over_labels(partial(label_smoothing, smoothing=rate), logits).mean(1)
    assert torch.allclose(smoothed, over_labels(cross_entropy, logits).mean(1), atol=1e-9)


def test_a_negative_rate_rewards_confidence_that_a_positive_one_punishes() -> None:
    mild, sure, label = torch.tensor([[3.0, 0.0]]), torch.tensor([[9.0, 0.0]]), torch.tensor([0])
    assert label_smoothing(sure, label, 0.3) > label_smoothing(mild, label, 0.3)
    assert label_smoothing(sure, label, -0.3) < label_smoothing(mild, label, -0.3) < 0


@pytest.mark.parametrize("rate", [1.5, math.nan, math.inf, -math.inf])
def test_a_wrong_rate(rate: float) -> None:
    with pytest.raises(ValueError, match=r"`smoothing` must be at most 1 and finite, got .*: pass 0\.1, or a negative"):
        label_smoothing(*batch(), smoothing=rate)
    with pytest.raises(TypeError, match=r"`smoothing` must be a number, got '0\.1'"):
        label_smoothing(*batch(), smoothing="0.1")  # type: ignore[arg-type]
