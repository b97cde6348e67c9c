"""Transition matrices: row i holds the chances of each given label for a sample whose clean label is i."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_positive_int, check_probability

Matrix = npt.NDArray[np.float64]

CIFAR10_CONFUSIONS: Mapping[int, int] = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
"""Truck to automobile, bird to airplane, cat to dog and back, deer to horse (Patrini et al., 2017)."""

MNIST_CONFUSIONS: Mapping[int, int] = {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}
"""7 to 1, 2 to 7, 3 to 8, 5 to 6 and back (Patrini et al., 2017)."""

# fmt: off
CIFAR100_FINE_TO_COARSE: tuple[int, ...] = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7,
    6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
    16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16,
    12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
)
# fmt: on
"""The superclass of each CIFAR-100 class, classes in alphabetical order as in the distributed files."""


def symmetric_matrix(num_classes: int, rate: float) -> Matrix:
    """Return the matrix of symmetric noise that excludes the own class.

    Args:
        num_classes: Number of classes C, at least 2.
        rate: The chance of a wrong label, in ``[0, 1]``.

    Returns:
        ``(C, C)`` float64: ``1 - rate`` on the diagonal, ``rate / (C - 1)`` elsewhere.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]`` or there is only one class.

    Example:
        >>> symmetric_matrix(3, 0.5)
        array([[0.5 , 0.25, 0.25],
               [0.25, 0.5 , 0.25],
               [0.25, 0.25, 0.5 ]])
    """
    num_classes, rate = _check(num_classes, rate)
    matrix = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(matrix, 1.0 - rate)
    return matrix


def symmetric_inclusive_matrix(num_classes: int, rate: float) -> Matrix:
    """Return the matrix of symmetric noise whose new label is uniform over all classes, the own one included.

    Args:
        num_classes: Number of classes C, at least 2.
        rate: The chance of a fresh label; the chance of a *wrong* one is ``rate * (C - 1) / C``.

    Returns:
        ``(C, C)`` float64: ``1 - rate + rate / C`` on the diagonal, ``rate / C`` elsewhere.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]`` or there is only one class.

    Example:
        >>> symmetric_inclusive_matrix(2, 0.5)
        array([[0.75, 0.25],
               [0.25, 0.75]])
    """
    num_classes, rate = _check(num_classes, rate)
    matrix = np.full((num_classes, num_classes), rate / num_classes)
    np.fill_diagonal(matrix, 1.0 - rate + rate / num_classes)
    return matrix


def pair_flip_matrix(num_classes: int, rate: float) -> Matrix:
    """Return the matrix that moves a class to the next one, the last to the first (Han et al., 2018).

    Args:
        num_classes: Number of classes C, at least 2.
        rate: The chance of moving, in ``[0, 1]``.

    Returns:
        ``(C, C)`` float64.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]`` or there is only one class.

    Example:
        >>> pair_flip_matrix(3, 0.25)
        array([[0.75, 0.25, 0.  ],
               [0.  , 0.75, 0.25],
               [0.25, 0.  , 0.75]])
    """
    num_classes, rate = _check(num_classes, rate)
    return _mapped({i: (i + 1) % num_classes for i in range(num_classes)}, num_classes, rate)


def asymmetric_cifar10_matrix(rate: float) -> Matrix:
    """Return CIFAR-10's asymmetric noise: five classes move to a similar one, the other five stay.

    Args:
        rate: The chance of moving for the classes of `CIFAR10_CONFUSIONS`; half of it over the whole data
            set.

    Returns:
        ``(10, 10)`` float64.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_cifar10_matrix(0.4)[3]
        array([0. , 0. , 0. , 0.6, 0. , 0.4, 0. , 0. , 0. , 0. ])
    """
    return _mapped(CIFAR10_CONFUSIONS, 10, check_probability("rate", rate))


def asymmetric_mnist_matrix(rate: float) -> Matrix:
    """Return MNIST's asymmetric noise: five digits move to a similar one, the other five stay.

    Args:
        rate: The chance of moving for the digits of `MNIST_CONFUSIONS`.

    Returns:
        ``(10, 10)`` float64.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_mnist_matrix(0.25)[7]
        array([0.  , 0.25, 0.  , 0.  , 0.  , 0.  , 0.  , 0.75, 0.  , 0.  ])
    """
    return _mapped(MNIST_CONFUSIONS, 10, check_probability("rate", rate))


def asym_block5_matrix(rate: float) -> Matrix:
    """Return CIFAR-100's published asymmetric noise: next class within blocks of five consecutive ids.

    The literature calls these blocks superclasses. They are not: CIFAR-100's ids are alphabetical, and only 6
    of the 100 moves stay inside the true superclass. Use this one to compare with published numbers, and
    `asym_superclass_matrix` for noise that is what the name says.

    Args:
        rate: The chance of moving, in ``[0, 1]``.

    Returns:
        ``(100, 100)`` float64.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asym_block5_matrix(0.4)[4].nonzero()[0]
        array([0, 4])
    """
    return _mapped(_next_in_group([i // 5 for i in range(100)]), 100, check_probability("rate", rate))


def asym_superclass_matrix(rate: float) -> Matrix:
    """Return the matrix that moves a CIFAR-100 class to the next of its true superclass, the last to the first.

    Args:
        rate: The chance of moving, in ``[0, 1]``.

    Returns:
        ``(100, 100)`` float64.

    Raises:
        ValueError: ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asym_superclass_matrix(0.4)[4].nonzero()[0]  # beaver to dolphin, both aquatic mammals
        array([ 4, 30])
    """
    return _mapped(_next_in_group(CIFAR100_FINE_TO_COARSE), 100, check_probability("rate", rate))


def _check(num_classes: int, rate: float) -> tuple[int, float]:
    if check_positive_int("num_classes", num_classes) < 2:
        raise ValueError(f"`num_classes` must be at least 2, got {num_classes}: one class has no wrong label")
    return int(num_classes), check_probability("rate", rate)


def _mapped(targets: Mapping[int, int], num_classes: int, rate: float) -> Matrix:
    matrix = np.eye(num_classes)
    for source, target in targets.items():
        matrix[source, source], matrix[source, target] = 1.0 - rate, rate
    return matrix


def _next_in_group(groups: Sequence[int]) -> dict[int, int]:
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    return {i: ids[(k + 1) % len(ids)] for ids in members.values() for k, i in enumerate(ids)}
