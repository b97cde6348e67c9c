from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from noisylearn import noise
from noisylearn.noise import CIFAR100_FINE_TO_COARSE

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

BUILDERS: dict[str, Callable[[float], Matrix]] = {
    "symmetric": lambda rate: noise.symmetric_matrix(7, rate),
    "symmetric_inclusive": lambda rate: noise.symmetric_inclusive_matrix(7, rate),
    "pair_flip": lambda rate: noise.pair_flip_matrix(7, rate),
    "asymmetric_cifar10": noise.asymmetric_cifar10_matrix,
    "asymmetric_mnist": noise.asymmetric_mnist_matrix,
    "asym_block5": noise.asym_block5_matrix,
    "asym_superclass": noise.asym_superclass_matrix,
}


def moves(matrix: Matrix) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(matrix) if i != j]


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_rows_are_chances(name: str, rate: float) -> None:
    matrix = BUILDERS[name](rate)
    assert matrix.dtype == np.float64
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    if rate == 0:
        np.testing.assert_array_equal(matrix, np.eye(len(matrix)))


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rate_out_of_range(name: str, rate: float) -> None:
    with pytest.raises(ValueError, match=r"`rate` must be in \[0, 1\], got"):
        BUILDERS[name](rate)


@pytest.mark.parametrize("builder", [noise.symmetric_matrix, noise.symmetric_inclusive_matrix, noise.pair_flip_matrix])
def test_one_class(builder: Callable[[int, float], Matrix]) -> None:
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 2, got 1"):
        builder(1, 0.4)


def test_wrong_mass_exclusive_and_inclusive() -> None:
    np.testing.assert_allclose(noise.symmetric_matrix(10, 0.8).diagonal(), 0.2)
    np.testing.assert_allclose(noise.symmetric_inclusive_matrix(10, 0.8).diagonal(), 0.28)


def test_block5_keeps_six_moves_inside_a_superclass() -> None:
    pairs = moves(noise.asym_block5_matrix(0.4))
    inside = [(i, j) for i, j in pairs if CIFAR100_FINE_TO_COARSE[i] == CIFAR100_FINE_TO_COARSE[j]]
    assert len(pairs) == 100
    assert inside == [(6, 7), (19, 15), (42, 43), (63, 64), (86, 87), (89, 85)]


def test_superclass_moves_stay_and_go_round() -> None:
    step = dict(moves(noise.asym_superclass_matrix(0.4)))
    assert len(step) == 100
    for start in range(100):
        seen = [start]
        while step[seen[-1]] != start:
            seen.append(step[seen[-1]])
        assert len(seen) == 5
        assert len({CIFAR100_FINE_TO_COARSE[i] for i in seen}) == 1


def test_superclasses_have_five_classes_each() -> None:
    assert Counter(CIFAR100_FINE_TO_COARSE) == dict.fromkeys(range(20), 5)


@pytest.mark.data
def test_superclasses_are_those_of_the_data(cifar_n: Callable[[str], dict[str, Labels]]) -> None:
    data = cifar_n("cifar100n")
    table = np.array(CIFAR100_FINE_TO_COARSE)
    np.testing.assert_array_equal(table[data["clean_label"]], data["clean_coarse_label"])
