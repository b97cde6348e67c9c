"""Class-dependent noise that draws every label on its own: the realised rate varies around the one asked for.

All draw with `from_matrix`, so their labels are those of the Co-teaching family of reference implementations.
"""

from __future__ import annotations

import numpy.typing as npt

from noisylearn._checks import check_labels
from noisylearn.noise import matrices
from noisylearn.noise.record import NoisyLabels
from noisylearn.noise.sampler import sample_rows


def symmetric(labels: npt.ArrayLike, num_classes: int, rate: float, seed: int = 0) -> NoisyLabels:
    """Replace a label with chance ``rate`` by one of the *other* classes, all equally likely.

    The exclusive variant: of Co-teaching (Han et al., 2018), Co-teaching+, JoCoR, CDR. ``rate`` is the rate
    of wrong labels; at ``(C - 1) / C`` the labels say nothing.

    Args:
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes C, at least 2.
        rate: The chance of a wrong label, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, there is one class, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> symmetric([0, 1, 2, 3, 4, 5], num_classes=10, rate=0.5).labels
        array([0, 6, 0, 3, 6, 0])
    """
    matrix = matrices.symmetric_matrix(num_classes, rate)
    return _draw("symmetric", labels, matrix, rate, seed)


def symmetric_inclusive(labels: npt.ArrayLike, num_classes: int, rate: float, seed: int = 0) -> NoisyLabels:
    """Replace a label with chance ``rate`` by any class, the own one included.

    A fraction ``rate * (C - 1) / C`` becomes wrong. This is what "rate" means in DivideMix, ELR and SOP, here
    drawn independently; `symmetric_inclusive_exact` picks an exact number of samples as they do.

    Args:
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes C, at least 2.
        rate: The chance of a fresh label, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, there is one class, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> symmetric_inclusive([0] * 1000, num_classes=2, rate=0.5).realised_rate  # about 0.25
        0.241
    """
    matrix = matrices.symmetric_inclusive_matrix(num_classes, rate)
    return _draw("symmetric_inclusive", labels, matrix, rate, seed)


def pair_flip(labels: npt.ArrayLike, num_classes: int, rate: float, seed: int = 0) -> NoisyLabels:
    """Move a label with chance ``rate`` to the next class, the last to the first (Han et al., 2018).

    Args:
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes C, at least 2.
        rate: The chance of moving, in ``[0, 1]``; from 0.5 on, the wrong class has the majority.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, there is one class, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> pair_flip([0, 1, 2, 3], num_classes=4, rate=1.0).labels
        array([1, 2, 3, 0])
    """
    return _draw("pair_flip", labels, matrices.pair_flip_matrix(num_classes, rate), rate, seed)


def asymmetric_cifar10(labels: npt.ArrayLike, rate: float, seed: int = 0) -> NoisyLabels:
    """Move five CIFAR-10 classes to a similar one with chance ``rate`` each (Patrini et al., 2017).

    "40 %" is therefore 20 % of all labels. See `asymmetric_cifar10_matrix`.

    Args:
        labels: ``(N,)`` integers in ``[0, 10)``, the clean labels.
        rate: The chance of moving, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_cifar10(range(10), rate=1.0).labels
        array([0, 1, 0, 5, 7, 3, 6, 7, 8, 1])
    """
    return _draw("asymmetric_cifar10", labels, matrices.asymmetric_cifar10_matrix(rate), rate, seed)


def asymmetric_mnist(labels: npt.ArrayLike, rate: float, seed: int = 0) -> NoisyLabels:
    """Move five digits to a similar one with chance ``rate`` each (Patrini et al., 2017).

    Args:
        labels: ``(N,)`` integers in ``[0, 10)``, the clean labels.
        rate: The chance of moving, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_mnist(range(10), rate=1.0).labels
        array([0, 1, 7, 8, 4, 6, 5, 1, 8, 9])
    """
    return _draw("asymmetric_mnist", labels, matrices.asymmetric_mnist_matrix(rate), rate, seed)


def asym_block5(labels: npt.ArrayLike, rate: float, seed: int = 0) -> NoisyLabels:
    """Move CIFAR-100 classes to the next id of their block of five, as published "asymmetric" numbers do.

    The blocks are not superclasses (6 of 100 moves stay in one): see `asym_block5_matrix`.

    Args:
        labels: ``(N,)`` integers in ``[0, 100)``, the clean fine labels.
        rate: The chance of moving, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asym_block5([0, 4, 99], rate=1.0).labels
        array([ 1,  0, 95])
    """
    return _draw("asym_block5", labels, matrices.asym_block5_matrix(rate), rate, seed)


def asym_superclass(labels: npt.ArrayLike, rate: float, seed: int = 0) -> NoisyLabels:
    """Move CIFAR-100 classes to the next id of their true superclass.

    Not comparable with published "asymmetric" or "superclass" numbers: those use `asym_block5`.

    Args:
        labels: ``(N,)`` integers in ``[0, 100)``, the clean fine labels.
        rate: The chance of moving, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asym_superclass([4, 30, 55, 72, 95], rate=1.0).labels  # the aquatic mammals
        array([30, 55, 72, 95,  4])
    """
    return _draw("asym_superclass", labels, matrices.asym_superclass_matrix(rate), rate, seed)


def _draw(name: str, labels: npt.ArrayLike, matrix: matrices.Matrix, rate: float, seed: int) -> NoisyLabels:
    clean = check_labels("labels", labels, len(matrix))
    return NoisyLabels(sample_rows(clean, matrix, seed), clean, name, float(rate), seed)
