from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.noise import from_matrix

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


@given(num_classes=st.integers(2, 12), seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_bit_equal_to_one_draw_per_sample(
    slow_sample: Callable[[Labels, Matrix, int], Labels], num_classes: int, seed: int, n: int
) -> None:
    rng = np.random.RandomState(seed)
    matrix = rng.dirichlet(np.full(num_classes, 0.3), size=num_classes)
    clean = rng.randint(num_classes, size=n)
    np.testing.assert_array_equal(from_matrix(clean, matrix, seed).labels, slow_sample(clean, matrix, seed))


def test_rate_is_the_expected_fraction_of_wrong_labels() -> None:
    noisy = from_matrix([0, 0, 0, 1], [[0.5, 0.5], [0.1, 0.9]])
    assert noisy.rate == pytest.approx((3 * 0.5 + 0.1) / 4)
    assert noisy.generator == "from_matrix"


def test_a_float32_matrix_is_accepted() -> None:
    matrix = np.full((3, 3), 1 / 3, dtype=np.float32)
    matrix[0] = [0.6, 0.4, 0.0]  # in float32 the first two sum to more than 1 by more than NumPy's sampler allows
    assert float(matrix[0, :2].astype(np.float64).sum()) - 1 > 1e-12
    assert from_matrix([0] * 50, matrix).labels.max() == 1


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.5, 0.4], [0.0, 1.0]], r"row 0 of `matrix` must sum to 1, got 0.9:"),
        ([[1.0, 0.0], [0.6, 0.6]], r"row 1 of `matrix` must sum to 1, got 1.2:"),
        ([[1.0, 0.0], [1.5, -0.5]], r"`matrix` must be in \[0, 1\], got 1.5 at \(1, 0\)"),
        ([[1.0, 0.0], [np.nan, np.nan]], r"`matrix` must be in \[0, 1\], got nan at \(1, 0\)"),
        ([[1.0, 0.0]], r"`matrix` must be square, got shape \(1, 2\)"),
        ([1.0, 0.0], r"`matrix` must be square, got shape \(2,\)"),
        ([[1.0]], r"at least 2 classes"),
    ],
)
def test_a_matrix_that_is_not_stochastic(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_matrix([0, 0], matrix)


def test_labels_beyond_the_matrix() -> None:
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 2\), got 2 at position 1"):
        from_matrix([0, 2], np.eye(2))
