"""The time of the last forgetting: the reference's vectors, a slow loop, and the signal that keeps no history."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.memorization import ForgettingTime, forgetting_time
from noisylearn.signals import Observation, SignalSet

QUICK = settings(deadline=None, max_examples=60)
GOLDEN = {"110100": 4.0, "111111": math.inf, "000000": 0.0}


def history(*rows: str) -> Tensor:
    return torch.tensor([[mark == "1" for mark in row] for row in rows]).T


def slow(row: list[bool]) -> float:
    """As it is told: the smallest e such that the sample is wrong at every e' >= e."""
    return next((float(e) for e in range(len(row)) if not any(row[e:])), math.inf)


def tracked(correct: Tensor) -> Tensor:
    """What the signal says of a history that it is shown epoch by epoch, in batches of 8."""
    size = correct.shape[1]
    signals = SignalSet([ForgettingTime()], num_samples=size + 1)  # the last sample is never seen
    for epoch, right in enumerate(correct):
        for rows in torch.arange(size).split(8):
            logits = torch.stack([torch.zeros(len(rows)), torch.where(right[rows], 1.0, -1.0)], 1)
            signals.observe(Observation(rows, logits, torch.ones(len(rows), dtype=torch.int64)))
        signals.commit(epoch)
    return signals.compute()["forgetting_time"]


@pytest.mark.parametrize("row", GOLDEN)
def test_golden_vectors(row: str) -> None:
    assert forgetting_time(history(row)).tolist() == [GOLDEN[row]]
    assert tracked(history(row))[0] == GOLDEN[row]


@pytest.mark.parametrize("row", GOLDEN)
def test_the_authors_encoding_is_one_more(row: str) -> None:
    """Their times are 1..T+1, with T + 1 for never."""
    time = forgetting_time(history(row))
    encoded = torch.where(time.isinf(), len(row) + 1, time + 1)
    assert encoded.item() == {"110100": 5, "111111": 7, "000000": 1}[row]


@QUICK
@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 1000))
def test_equals_the_slow_loop(epochs: int, size: int, seed: int) -> None:
    correct = torch.rand(epochs, size, generator=torch.Generator().manual_seed(seed)) < 0.5
    expected = [slow(row) for row in correct.T.tolist()]
    assert forgetting_time(correct).tolist() == expected
    assert tracked(correct)[:-1].tolist() == expected


def test_unseen_is_nan() -> None:
    assert tracked(history("10"))[-1].isnan()


def test_state() -> None:
    assert f"{ForgettingTime().bytes_per_sample} bytes" == ForgettingTime.state
    assert ForgettingTime.scores[0].higher_is_noisier is False


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match=r"`correct` must be bool, got torch\.int64: pass prediction == given label"):
        forgetting_time(torch.ones(2, 3, dtype=torch.int64))
    for shape in ((3,), (0, 3)):
        with pytest.raises(ValueError, match=r"`correct` must be \(T, N\) with at least one epoch"):
            forgetting_time(torch.ones(shape, dtype=torch.bool))
