"""The checks of hyper-parameters."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from noisylearn.losses._arguments import check_exponent, check_positive, check_weight


def test_any_real_number_comes_back_as_a_float() -> None:
    for value in (1, 0.5, np.float32(0.5), np.int64(1), Fraction(1, 2)):
        assert type(check_exponent("q", value)) is float
        assert check_positive("a", value, "hint") == check_weight("w", value) == float(value)


@pytest.mark.parametrize("value", [True, "0.5", None, 1j])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(TypeError, match=r"`w` must be a number, got .*: pass the weight"):
        check_weight("w", value)


def test_the_ends_of_the_intervals() -> None:
    assert check_exponent("q", 1) == 1
    assert check_weight("w", 0) == 0
    for check, value in ((check_exponent, 0), (check_weight, -1e-9), (check_weight, math.inf), (check_exponent, 1.01)):
        with pytest.raises(ValueError, match="`v` must be"):
            check("v", value)
    for value in (0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"`a` must be positive and finite, got .*: hint"):
            check_positive("a", value, "hint")
