"""Label vectors known in advance: the published hashes on CIFAR, and hashes on small vectors that need no data.

The hashes on small vectors were printed by `slow_sample`; the same loop is run here again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from noisylearn.noise import CIFAR100_FINE_TO_COARSE, make_noise

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


def sha1(labels: Labels) -> str:
    return hashlib.sha1(labels.astype("<i8").tobytes()).hexdigest()[:12]


CIFAR = [
    # data set, kind, rate, seed, realised, first twelve labels, sha1
    ("cifar10n", "symmetric", 0.2, 0, 0.20076, "6 9 4 4 8 1 2 7 4 3 4 7", "def5063377f2"),
    ("cifar10n", "symmetric", 0.5, 0, 0.49676, "6 1 9 2 1 1 6 6 8 3 0 7", "66bcf5fcdded"),
    ("cifar10n", "symmetric", 0.8, 0, 0.79742, "7 0 4 4 1 6 9 1 8 4 8 6", "66efcd2ed69d"),
    ("cifar10n", "pair_flip", 0.45, 0, 0.44800, "6 0 0 4 1 2 3 7 9 3 5 7", "ec4dfdc9aea4"),
    ("cifar10n", "asymmetric_cifar10", 0.4, 0, 0.19746, "6 1 1 4 1 1 2 7 8 5 4 7", "36fa682cd0cf"),
    ("cifar10n", "symmetric", 0.2, 1, 0.19888, "6 9 9 7 1 1 2 0 8 3 4 7", "68c0cb3d614a"),
    ("cifar10n", "symmetric", 0.5, 1, 0.50066, "6 9 5 4 1 1 1 9 8 3 7 5", "3a0d5991b068"),
    ("cifar10n", "symmetric", 0.8, 1, 0.80092, "8 4 7 3 3 2 4 2 5 8 8 3", "b0281f733975"),
    ("cifar10n", "pair_flip", 0.45, 1, 0.45190, "6 0 9 4 1 1 2 7 8 3 4 8", "159f1a272fcf"),
    ("cifar10n", "asymmetric_cifar10", 0.4, 1, 0.19796, "6 1 9 4 1 1 2 7 8 3 7 7", "730b1b101207"),
    ("cifar100n", "symmetric", 0.2, 0, 0.20108, "52 29 0 11 1 51 90 28 23 31 39 96", "c2cfa4449b0b"),
    ("cifar100n", "symmetric", 0.5, 0, 0.50062, "52 29 0 11 1 51 90 28 23 31 39 85", "11bd4b9a628b"),
    ("cifar100n", "pair_flip", 0.45, 0, 0.44898, "19 30 0 11 2 87 90 29 24 31 39 96", "310b7ee49300"),
    ("cifar100n", "asym_block5", 0.4, 0, 0.39770, "19 25 0 11 2 87 90 29 23 32 39 97", "94ee604eaa30"),
]


@pytest.mark.data
@pytest.mark.parametrize(("data", "kind", "rate", "seed", "realised", "first", "digest"), CIFAR)
def test_cifar(
    cifar_n: Callable[[str], dict[str, Labels]],
    data: str,
    kind: str,
    rate: float,
    seed: int,
    realised: float,
    first: str,
    digest: str,
) -> None:
    clean = cifar_n(data)["clean_label"]
    noisy = make_noise(kind, clean, 10 if data == "cifar10n" else 100, rate, seed)
    assert " ".join(map(str, noisy.labels[:12])) == first
    assert noisy.realised_rate == pytest.approx(realised, abs=1e-9)
    assert noisy.sha1[:12] == digest


@pytest.mark.data
@pytest.mark.parametrize(
    ("data", "first"),
    [("cifar10n", "6 9 9 4 1 1 2 7 8 3 4 7"), ("cifar100n", "19 29 0 11 1 86 90 28 23 31 39 96")],
)
def test_clean_cifar(cifar_n: Callable[[str], dict[str, Labels]], data: str, first: str) -> None:
    clean = cifar_n(data)["clean_label"]
    noisy = make_noise("none", clean, 10 if data == "cifar10n" else 100, 0.0)
    assert " ".join(map(str, noisy.labels[:12])) == first
    assert noisy.realised_rate == 0


def moves_to(kind: str, i: int, num_classes: int) -> int:
    """The one class that class i can be confused with, worked out afresh."""
    if kind == "asymmetric_cifar10":
        return {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}.get(i, i)
    if kind == "asymmetric_mnist":
        return {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}.get(i, i)
    if kind == "asym_block5":
        return i - 4 if i % 5 == 4 else i + 1
    if kind == "asym_superclass":
        mates = [j for j in range(100) if CIFAR100_FINE_TO_COARSE[j] == CIFAR100_FINE_TO_COARSE[i]]
        return min((j for j in mates if j > i), default=min(mates))
    assert kind == "pair_flip"
    return 0 if i == num_classes - 1 else i + 1


def by_hand(kind: str, num_classes: int, rate: float) -> Matrix:
    """The transition matrix, entry by entry."""
    matrix = np.zeros((num_classes, num_classes))
    for i in range(num_classes):
        for j in range(num_classes):
            if kind == "symmetric":
                matrix[i, j] = 1 - rate if i == j else rate / (num_classes - 1)
            elif kind == "symmetric_inclusive":
                matrix[i, j] = (1 - rate if i == j else 0) + rate / num_classes
            else:
                target = moves_to(kind, i, num_classes)
                matrix[i, j] = (1 - rate) * (j == i) + rate * (j == target) if target != i else i == j
    return matrix


SMALL = [
    ("symmetric", 10, 0.4, 0, "605c7fdbe1a7"),
    ("symmetric", 2, 0.3, 7, "79c5a12f67d6"),
    ("symmetric", 100, 0.9, 1, "44aa9c5878d0"),
    ("symmetric_inclusive", 10, 0.4, 0, "62ac0d33e2d1"),
    ("pair_flip", 10, 0.45, 0, "16dc6fdcdd28"),
    ("asymmetric_cifar10", 10, 0.4, 0, "dcfece5d072b"),
    ("asymmetric_mnist", 10, 0.4, 0, "7654f35af6eb"),
    ("asym_block5", 100, 0.4, 0, "2bb2f23e389b"),
    ("asym_superclass", 100, 0.4, 0, "fb47a5c2152b"),
]


@pytest.mark.parametrize(("kind", "num_classes", "rate", "seed", "digest"), SMALL)
def test_small_vectors(
    slow_sample: Callable[[Labels, Matrix, int], Labels],
    kind: str,
    num_classes: int,
    rate: float,
    seed: int,
    digest: str,
) -> None:
    clean = (np.arange(1000) * 7) % num_classes
    expected = slow_sample(clean, by_hand(kind, num_classes, rate), seed)
    assert sha1(expected) == digest
    noisy = make_noise(kind, clean, num_classes, rate, seed)
    np.testing.assert_array_equal(noisy.labels, expected)
    assert noisy.sha1[:12] == digest
