"""The entropy of a prediction."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisylearn.losses import entropy
from tests.unit.losses.contract import CHECKS, Check, batch


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return entropy(logits)


def slow(p: list[float], log_p: list[float], y: int) -> float:
    return -math.fsum(a * b for a, b in zip(p, log_p, strict=True))


@pytest.mark.parametrize("check", [c for c in CHECKS if c.__name__ != "takes_integer_labels_only"])
def test_contract(check: Check) -> None:
    check(loss, slow)


def test_it_is_largest_where_nothing_is_known() -> None:
    logits, _ = batch(torch.float64)
    assert float(entropy(torch.zeros(1, 7))) == pytest.approx(math.log(7))
    assert bool((entropy(logits) < math.log(7)).all())


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="`logits` must be floating point"):
        entropy(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"`logits` must be \(B, C\)"):
        entropy(torch.zeros(3))
