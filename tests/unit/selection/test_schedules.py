"""The keep rate follows the table of Co-teaching."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.selection import linear_keep_rate, linear_ramp, sigmoid_ramp


@pytest.mark.parametrize("warmup", [1, 2, 10, 13])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("forget_rate", [0.0, 0.2, 0.38, 0.45, 0.7, 1.0])
def test_equals_the_authors_table(forget_rate: float, exponent: float, warmup: int) -> None:
    table = np.full(30, forget_rate)
    table[:warmup] = np.linspace(0, forget_rate**exponent, warmup)
    got = [linear_keep_rate(epoch, forget_rate, warmup, exponent) for epoch in range(30)]
    assert got == list(1 - table)  # to the last bit, since `int(rate * B)` samples are kept


@given(st.integers(0, 300), st.floats(0, 1), st.integers(1, 50), st.floats(0.1, 5))
def test_stays_a_share_and_never_rises_on_the_straight_line(epoch: int, rate: float, warmup: int, power: float) -> None:
    assert 0 <= linear_keep_rate(epoch, rate, warmup, power) <= 1
    assert linear_keep_rate(epoch + 1, rate, warmup) <= linear_keep_rate(epoch, rate, warmup)
    assert linear_keep_rate(0, rate, warmup, power) == 1
    assert linear_keep_rate(warmup, rate, warmup, power) == 1 - rate


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epoch": -1}, ValueError, "`epoch` must be at least 0, got -1: count from 0"),
        ({"epoch": 1.0}, TypeError, "`epoch` must be an integer, got 1.0"),
        ({"forget_rate": 40}, ValueError, r"`forget_rate` must be in \[0, 1\], got 40: pass"),
        ({"warmup": 0}, ValueError, "`warmup` must be at least 1, got 0"),
        ({"exponent": 0.0}, ValueError, "`exponent` must be above 0, got 0.0"),
        ({"exponent": "1"}, TypeError, "`exponent` must be a number above 0, got '1'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        linear_keep_rate(**({"epoch": 0, "forget_rate": 0.4} | arguments))  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(("start", "length"), [(10, 16), (0, 1), (3, 0.5), (7, 0)])
def test_linear_ramp_rises_from_start_over_its_length(start: float, length: float) -> None:
    for epoch in (0.0, start - 0.5, start, start + 0.25 * length, start + length, start + length + 9):
        expected = 0.0 if epoch < start else 1.0 if epoch >= start + length else (epoch - start) / length
        assert linear_ramp(epoch, start, length) == pytest.approx(expected)
    with pytest.raises(ValueError, match="`length` must be finite and at least 0, got -1"):
        linear_ramp(0, start, -1)


@pytest.mark.parametrize("length", [1, 7.5, 40_000, 0])
def test_sigmoid_ramp_is_the_formula_up_to_its_length(length: float) -> None:
    for step in (0, 0.3 * length, 0.9 * length, length, 2 * length + 1):
        rest = 1 - min(step, length) / length if length else 0.0
        assert sigmoid_ramp(step, length) == pytest.approx(np.exp(-5 * rest * rest))
    with pytest.raises(ValueError, match="`length` must be finite and at least 0, got -1"):
        sigmoid_ramp(0, -1)
