from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from noisylearn.noise import from_matrix, symmetric_matrix, transition_matrix

Labels = npt.NDArray[np.int64]


def test_equals_counting_by_hand() -> None:
    rng = np.random.RandomState(0)
    clean, noisy = rng.randint(4, size=500), rng.randint(4, size=500)
    matrix = transition_matrix(clean, noisy, num_classes=4)
    for i in range(4):
        given = [n for c, n in zip(clean, noisy, strict=True) if c == i]
        for j in range(4):
            assert matrix[i, j] == pytest.approx(given.count(j) / len(given))


def test_recovers_the_matrix_that_made_the_labels() -> None:
    clean = np.arange(40_000) % 4
    truth = symmetric_matrix(4, 0.3)
    found = transition_matrix(clean, from_matrix(clean, truth, seed=3).labels, num_classes=4)
    # 10,000 draws a row: a standard error of at most 0.005
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_a_class_without_samples_is_unknown() -> None:
    matrix = transition_matrix([0, 2], [0, 1], num_classes=3)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [np.nan] * 3, [0, 1, 0]])


def test_two_lengths() -> None:
    with pytest.raises(ValueError, match=r"`noisy` must be as long as `clean` \(3\), got 2"):
        transition_matrix([0, 1, 1], [0, 1], num_classes=2)


@pytest.mark.parametrize(("clean", "noisy", "name"), [([0, 5], [0, 1], "clean"), ([0, 1], [0, -1], "noisy")])
def test_out_of_range(clean: list[int], noisy: list[int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"`{name}` must be in \[0, 2\), got"):
        transition_matrix(clean, noisy, num_classes=2)


@pytest.mark.data
def test_human_confusions_of_cifar10n_worst(cifar_n: Callable[[str], dict[str, Labels]]) -> None:
    data = cifar_n("cifar10n")
    matrix = transition_matrix(data["clean_label"], data["worse_label"], num_classes=10)
    published = {(1, 9): 0.247, (9, 1): 0.282, (3, 5): 0.206, (5, 3): 0.183, (4, 7): 0.152}
    for cell, value in published.items():
        assert matrix[cell] == pytest.approx(value, abs=5e-4)
