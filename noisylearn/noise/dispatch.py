"""Noise by name, for data modules and command lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_choice, check_labels, check_probability
from noisylearn.noise import exact, independent
from noisylearn.noise._legacy_rng import legacy_rng
from noisylearn.noise.instance import instance_dependent
from noisylearn.noise.record import NoisyLabels

_ANY_CLASSES: dict[str, Callable[[npt.ArrayLike, int, float, int], NoisyLabels]] = {
    "symmetric": independent.symmetric,
    "symmetric_inclusive": independent.symmetric_inclusive,
    "symmetric_exact": exact.symmetric_exact,
    "symmetric_inclusive_exact": exact.symmetric_inclusive_exact,
    "pair_flip": independent.pair_flip,
}
_FIXED_CLASSES: dict[str, tuple[int, Callable[[npt.ArrayLike, float, int], NoisyLabels]]] = {
    "asymmetric_cifar10": (10, independent.asymmetric_cifar10),
    "asymmetric_cifar10_exact": (10, exact.asymmetric_cifar10_exact),
    "asymmetric_cifar10_exact_inplace": (10, partial(exact.asymmetric_cifar10_exact, legacy_inplace=True)),
    "asymmetric_cifar10_pooled": (10, exact.asymmetric_cifar10_pooled),
    "asymmetric_mnist": (10, independent.asymmetric_mnist),
    "asym_block5": (100, independent.asym_block5),
    "asym_superclass": (100, independent.asym_superclass),
}

NOISE_KINDS: tuple[str, ...] = ("none", *_ANY_CLASSES, *_FIXED_CLASSES, "instance_dependent")
"""The names that `make_noise` knows."""


def make_noise(
    kind: str,
    labels: npt.ArrayLike,
    num_classes: int,
    rate: float,
    seed: int = 0,
    images: npt.ArrayLike | None = None,
) -> NoisyLabels:
    """Corrupt labels with the generator of that name.

    Args:
        kind: One of `NOISE_KINDS`; each is the function of its name, but for ``"none"`` and
            ``"asymmetric_cifar10_exact_inplace"``, which is
            ``asymmetric_cifar10_exact(legacy_inplace=True)``.
        labels: ``(N,)`` integers, the clean labels.
        num_classes: Number of classes, at least 2.
        rate: The fraction asked for, in ``[0, 1]``; see the generator for of what. Not read by ``"none"``,
            whose record says 0.
        seed: Seed of the draw.
        images: ``(N, ...)``, read by ``"instance_dependent"`` only, flattened in the order given.

    Raises:
        TypeError: Labels are not integers.
        ValueError: ``kind`` is unknown, does not fit the number of classes or needs images; or the
            generator's own.

    Example:
        >>> make_noise("pair_flip", [0, 1, 2], num_classes=3, rate=1.0).labels
        array([1, 2, 0])
        >>> make_noise("pairflip", [0, 1, 2], num_classes=3, rate=1.0)
        Traceback (most recent call last):
        ValueError: `kind` must be one of 'none', ..., got 'pairflip' (did you mean 'pair_flip'?)
    """
    check_choice("kind", kind, NOISE_KINDS)
    if kind == "none":
        clean = check_labels("labels", labels, num_classes)
        legacy_rng(seed)  # nothing is drawn, but a bad seed must not wait for the first noisy run
        return NoisyLabels(clean, clean, kind, 0.0, seed)
    if kind == "instance_dependent":
        if images is None:
            way_out = "pass the raw images in the order of the labels, or another `kind`"
            raise ValueError(f"`images` must be given for {kind!r} noise, got None: {way_out}")
        array = np.asarray(images)
        return instance_dependent(labels, array.reshape(len(array), -1), num_classes, rate, seed)
    if kind in _ANY_CLASSES:
        return _ANY_CLASSES[kind](labels, num_classes, rate, seed)
    expected, generator = _FIXED_CLASSES[kind]
    if num_classes != expected:
        way_out = "use 'pair_flip' for data with other classes"
        raise ValueError(f"`num_classes` must be {expected} for {kind!r} noise, got {num_classes}: {way_out}")
    return generator(labels, rate, seed)


def expected_wrong_rate(kind: str, rate: float, num_classes: int) -> float:
    """Return the fraction of labels that come out wrong, for classes of equal size.

    It is less than the rate asked for where a generator may draw the label's own class, or leaves some classes alone;
    methods that leave a fraction of the data out need this one. (JoCoR's authors halve the rate for asymmetric noise
    for the same reason.)

    Args:
        kind: One of `NOISE_KINDS`.
        rate: The fraction asked for, in ``[0, 1]``.
        num_classes: Number of classes, at least 2.

    Raises:
        TypeError: ``rate`` is not a number.
        ValueError: ``kind`` is unknown, or ``rate`` is out of range.

    Example:
        >>> expected_wrong_rate("symmetric", 0.4, num_classes=10)
        0.4
        >>> expected_wrong_rate("asymmetric_cifar10", 0.4, num_classes=10)
        0.2
        >>> round(expected_wrong_rate("symmetric_inclusive", 0.5, num_classes=10), 6)
        0.45
    """
    check_choice("kind", kind, NOISE_KINDS)
    check_probability("rate", rate)
    if kind == "none":
        return 0.0
    if kind.startswith("symmetric_inclusive"):
        return rate * (num_classes - 1) / num_classes
    if kind.startswith(("asymmetric_cifar10", "asymmetric_mnist")):
        return rate / 2  # five of the ten classes have a class that theirs is mistaken for
    return rate
