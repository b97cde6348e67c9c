"""Noise that corrupts an exact number of samples, picked by a random permutation.

The count is ``rate * n`` rounded down, as in DivideMix. (ELR compares ``i < rate * n``, which rounds up; where
``rate * n`` is whole, as with the published rates, the two are one.)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_labels, check_probability
from noisylearn.noise._legacy_rng import legacy_rng
from noisylearn.noise.matrices import CIFAR10_CONFUSIONS
from noisylearn.noise.record import NoisyLabels


def symmetric_exact(labels: npt.ArrayLike, num_classes: int, rate: float, seed: int = 0) -> NoisyLabels:
    """Give exactly ``rate * N`` samples a label of another class, all others equally likely.

    Args:
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes, at least 2.
        rate: The fraction of wrong labels, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, there is one class, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> symmetric_exact([0, 1, 2, 3, 4], num_classes=5, rate=0.4).flipped.sum()
        np.int64(2)
    """
    clean, count = _check(labels, num_classes, rate)
    rng = legacy_rng(seed)
    chosen = rng.permutation(len(clean))[:count]
    noisy = clean.copy()
    # A step of 1 to C - 1 round the classes reaches every other class once and never the own one.
    noisy[chosen] = (clean[chosen] + rng.randint(1, num_classes, size=count, dtype=np.int32)) % num_classes
    return NoisyLabels(noisy, clean, "symmetric_exact", float(rate), seed)


def symmetric_inclusive_exact(labels: npt.ArrayLike, num_classes: int, rate: float, seed: int = 0) -> NoisyLabels:
    """Give exactly ``rate * N`` samples a fresh label, uniform over all classes with the own one included.

    What DivideMix (Li et al., 2020), ELR (Liu et al., 2020) and SOP call symmetric noise: about
    ``rate * (C - 1) / C`` of the labels become wrong. The draw is ELR's after ``numpy.random.seed(seed)``;
    ELR itself leaves NumPy unseeded, and DivideMix draws from Python's ``random``.

    Args:
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes C, at least 2.
        rate: The fraction of fresh labels, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, there is one class, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> symmetric_inclusive_exact([0, 1, 2, 3, 4], num_classes=5, rate=0.4).labels
        array([3, 1, 3, 3, 4])
    """
    clean, count = _check(labels, num_classes, rate)
    rng = legacy_rng(seed)
    chosen = rng.permutation(len(clean))[:count]
    noisy = clean.copy()
    noisy[chosen] = rng.randint(num_classes, size=count, dtype=np.int32)
    return NoisyLabels(noisy, clean, "symmetric_inclusive_exact", float(rate), seed)


def asymmetric_cifar10_pooled(labels: npt.ArrayLike, rate: float, seed: int = 0) -> NoisyLabels:
    """Pick exactly ``rate * N`` samples of all classes and move those that have a similar class.

    What DivideMix (Li et al., 2020) and SELC call asymmetric noise. Classes without a similar one keep their
    label when picked, so a rate of 0.4 makes about 0.2 wrong, and each class's own rate is random.

    Args:
        labels: ``(N,)`` integers in ``[0, 10)``, the clean labels.
        rate: The fraction of samples picked, in ``[0, 1]``.
        seed: Seed of the draw.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_cifar10_pooled(range(10), rate=1.0).labels
        array([0, 1, 0, 5, 7, 3, 6, 7, 8, 1])
    """
    clean, count = _check(labels, 10, rate)
    chosen = legacy_rng(seed).permutation(len(clean))[:count]
    moved = np.array([CIFAR10_CONFUSIONS.get(c, c) for c in range(10)])
    noisy = clean.copy()
    noisy[chosen] = moved[clean[chosen]]
    return NoisyLabels(noisy, clean, "asymmetric_cifar10_pooled", float(rate), seed)


def asymmetric_cifar10_exact(
    labels: npt.ArrayLike, rate: float, seed: int = 0, legacy_inplace: bool = False
) -> NoisyLabels:
    """Move exactly ``rate`` of each of five CIFAR-10 classes to a similar one (ELR, SOP, Joint-Opt).

    The draw is ELR's (Liu et al., 2020) after ``numpy.random.seed(seed)``, but for one fault of it: ELR
    overwrites labels while it looks up the members of the next class, so cats that became dogs are shuffled
    with the dogs and partly flipped back. At rate 0.4 about 24 % of cats are moved instead of 40 %, and about
    18.4 % of all labels instead of 20 %. ``legacy_inplace=True`` keeps that fault, and ELR's rounding up, to
    reproduce published numbers.

    Args:
        labels: ``(N,)`` integers in ``[0, 10)``, the clean labels.
        rate: The fraction of each moving class that is moved, in ``[0, 1]``.
        seed: Seed of the draw.
        legacy_inplace: Whether to make ELR's labels as they are, fault included.

    Returns:
        The record; its generator ends in ``_inplace`` where the fault was kept.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or ``rate`` is outside ``[0, 1]``.

    Example:
        >>> asymmetric_cifar10_exact([3] * 10 + [5] * 10, rate=0.4).realised_rate
        0.4
        >>> asymmetric_cifar10_exact([3] * 10 + [5] * 10, rate=0.4, legacy_inplace=True).realised_rate
        0.2
    """
    clean = check_labels("labels", labels, 10)
    rate = check_probability("rate", rate)
    rng = legacy_rng(seed)
    noisy = clean.copy()
    members_of = noisy if legacy_inplace else clean
    for source in range(10):  # classes that stay are shuffled too: it moves the random stream on
        members = np.flatnonzero(members_of == source)
        rng.shuffle(members)
        count = math.ceil(rate * len(members)) if legacy_inplace else _count(rate, len(members))
        noisy[members[:count]] = CIFAR10_CONFUSIONS.get(source, source)
    generator = "asymmetric_cifar10_exact" + ("_inplace" if legacy_inplace else "")
    return NoisyLabels(noisy, clean, generator, rate, seed)


def _check(labels: npt.ArrayLike, num_classes: int, rate: float) -> tuple[npt.NDArray[np.int64], int]:
    clean = check_labels("labels", labels, num_classes)
    return clean, _count(check_probability("rate", rate), len(clean))


def _count(rate: float, n: int) -> int:
    # In binary 0.29 * 100 is just under 29; what is meant is 29.
    return min(n, math.floor(rate * n + 1e-9))
