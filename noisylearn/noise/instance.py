"""Instance-dependent noise: which wrong label a sample gets depends on its image."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_labels, check_probability
from noisylearn.noise._legacy_rng import legacy_rng
from noisylearn.noise.record import NoisyLabels

Rows = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_CHUNK = 256  # rows whose float32 copy stays in the processor's cache between the cast and the product
_UNDERFLOW = 110.0  # exp(-110) is 0 in float32
_LARGEST = 1e30  # beyond, float32 products overflow


def instance_dependent(
    labels: npt.ArrayLike,
    images_flat: npt.ArrayLike,
    num_classes: int,
    rate: float,
    seed: int = 0,
    std: float = 0.1,
) -> NoisyLabels:
    """Corrupt labels with part-dependent noise (Xia et al., 2020, algorithm 2 as the authors coded it).

    Sample i is flipped with its own chance q_i, drawn from a normal of mean ``rate`` and deviation ``std``
    truncated to [0, 1]; the wrong label is drawn from the softmax of ``images_flat[i] @ W[y_i]`` over the
    other classes, W a standard normal tensor of shape (C, S, C).

    The random stream is the reference's, and so are the labels of its per-sample loop for the same seed, but
    in one matrix product per class. Products near a tie are taken in double precision, so that the labels do
    not depend on the order in which a machine sums; the reference's float32 products may differ in the last
    digits, which moves a label only where its uniform draw falls within that error of a step.

    Facts that the paper leaves out: the reference multiplies *raw* 0..255 pixels, whose products are so large
    that the softmax is a one-hot and every image has one confusing class. Normalised images give a softer,
    different noise. The order of the pixels matters as well: CDR's files are channels-first, PES flattens
    channels-last arrays. Truncation moves the mean of q near 0 and 1 (0.08 for a rate of 0); here a rate of
    exactly 0 leaves all labels as they are, which the reference does not.

    Args:
        labels: ``(N,)`` integers, the clean labels.
        images_flat: ``(N, S)`` numbers, for the reference's noise the raw uint8 pixels.
        num_classes: Number of classes C, at least 2. W takes ``4 * C * S * C`` bytes (123 MB for CIFAR-100).
        rate: Mean chance of a wrong label, in ``[0, 1]``.
        seed: Seed of the draw.
        std: Standard deviation of the chances before truncation, above 0.

    Raises:
        TypeError: Labels are not integers, or images or ``std`` are not real numbers.
        ValueError: Labels are empty or out of range, there is one class, ``rate`` is outside ``[0, 1]``,
            ``std`` is not positive, or the images are not ``(N, S)`` and finite.

    Example:
        >>> images = np.random.RandomState(0).randint(256, size=(6, 12), dtype=np.uint8)
        >>> instance_dependent([0, 1, 2, 0, 1, 2], images, num_classes=3, rate=0.5).labels
        array([1, 1, 1, 1, 2, 2])
    """
    clean = check_labels("labels", labels, num_classes)
    images = _check_images(images_flat, len(clean))
    rate, std = check_probability("rate", rate), _check_std(std)
    rng = legacy_rng(seed)
    noisy = clean.copy()
    if rate > 0:
        flip = _flip_chances(rng, rate, std, len(clean))
        weights = np.empty((num_classes, images.shape[1], num_classes), np.float32)
        for part in weights:  # one at a time: the float64 draws of all classes would take twice W's memory
            part[...] = rng.randn(*part.shape)
        draws = rng.random_sample(len(clean))
        unsettled = ~_keeps_label(clean, flip, draws, num_classes)
        for own in range(num_classes):
            rows = np.flatnonzero(unsettled & (clean == own))
            chances = _chances(_scores(images, rows, weights[own], own), flip[rows], own)
            noisy[rows] = _choose(chances, draws[rows])
    return NoisyLabels(noisy, clean, "instance_dependent", rate, seed)


def _flip_chances(rng: np.random.RandomState, rate: float, std: float, n: int) -> Doubles:
    from scipy.stats import truncnorm  # here: importing it takes longer than all the rest of this package

    # SciPy's own `rvs` inverts the distribution function too; spelled out, it cannot change with SciPy.
    chances: Doubles = truncnorm.ppf(rng.random_sample(n), (0 - rate) / std, (1 - rate) / std, loc=rate, scale=std)
    return chances


def _keeps_label(clean: Rows, flip: Doubles, draws: Doubles, num_classes: int) -> npt.NDArray[np.bool_]:
    """Where a draw keeps the label whatever the image: at most q lies below the own class's step, and above it."""
    margin = 1e-5  # float32 chances sum to 1 within less
    low = np.where(clean == 0, 0.0, flip + margin)
    high = np.where(clean == num_classes - 1, 1.0, 1.0 - flip - margin)
    return (low <= draws) & (draws < high)


def _scores(images: npt.NDArray[Any], rows: Rows, weights: Singles, own: int) -> Doubles:
    """Products of the images with one class's weights, (n, C) float64, minus infinity for the own class."""
    singles = np.empty((len(rows), weights.shape[1]), np.float32)
    buffer = np.empty((_CHUNK, len(weights)), np.float32)  # once: a fresh one for every chunk costs page faults
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        pixels = buffer[: len(chunk)]
        pixels[...] = images[chunk]
        np.matmul(pixels, weights, out=singles[start : start + _CHUNK])
    scores = singles.astype(np.float64)
    scores[:, own] = -np.inf
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    # Away from a tie the softmax is exactly one-hot in float32, which any order of summation finds.
    tied = np.flatnonzero(first - second < _UNDERFLOW + 1e-4 * np.abs(first))
    exact = weights.astype(np.float64)
    for start in range(0, len(tied), _CHUNK):
        near = tied[start : start + _CHUNK]
        scores[near] = images[rows[near]].astype(np.float32).astype(np.float64) @ exact
    scores[:, own] = -np.inf
    return scores


def _chances(scores: Doubles, flip: Doubles, own: int) -> Singles:
    """The chance of each label, rounded to float32 where the reference's is."""
    softmax = np.exp(scores - scores.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    chances: Singles = softmax.astype(np.float32) * flip[:, None].astype(np.float32)
    chances[:, own] += (1.0 - flip).astype(np.float32)
    return chances


def _choose(chances: Singles, draws: Doubles) -> Rows:
    """What ``numpy.random.choice(C, p=row)`` makes of a uniform draw: a search in the running sum."""
    steps = chances.astype(np.float64).cumsum(axis=1)
    steps /= steps[:, -1:]
    chosen: Rows = (steps <= draws[:, None]).sum(axis=1)
    return chosen


def _check_images(images_flat: Any, num_samples: int) -> npt.NDArray[Any]:
    images = np.asarray(images_flat)
    if images.ndim != 2 or len(images) != num_samples or images.shape[1] == 0:
        way_out = "pass images.reshape(len(images), -1), in the order of the labels"
        raise ValueError(f"`images_flat` must have shape ({num_samples}, S), got {images.shape}: {way_out}")
    if not (np.issubdtype(images.dtype, np.integer) or np.issubdtype(images.dtype, np.floating)):
        raise TypeError(f"`images_flat` must be real numbers, got dtype {images.dtype}: pass the raw pixels")
    if np.issubdtype(images.dtype, np.floating):
        bad = np.flatnonzero(~(np.abs(images) < _LARGEST).all(axis=1))
        if bad.size:
            way_out = "a label cannot be drawn from NaN or infinite pixels"
            raise ValueError(f"`images_flat` must be finite, got row {bad[0]} that is not: {way_out}")
    return images


def _check_std(std: Any) -> float:
    if isinstance(std, bool) or not isinstance(std, Real):
        raise TypeError(f"`std` must be a number above 0, got {std!r}: the paper's is 0.1")
    if not 0 < float(std) < np.inf:
        raise ValueError(f"`std` must be above 0 and finite, got {std}: the paper's is 0.1")
    return float(std)
