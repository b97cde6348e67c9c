"""Transition matrices measured on labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_labels
from noisylearn.noise.matrices import Matrix


def transition_matrix(clean: npt.ArrayLike, noisy: npt.ArrayLike, num_classes: int) -> Matrix:
    """Return the empirical transition matrix of two labellings of the same samples.

    Fed to `from_matrix`, it makes class-dependent noise with the confusions of a real one, e.g. CIFAR-N's.

    Args:
        clean: ``(N,)`` integers, the clean labels.
        noisy: ``(N,)`` integers, the given labels.
        num_classes: Number of classes C, at least 2.

    Returns:
        ``(C, C)`` float64, rows summing to 1. The row of a class without clean samples is NaN: nothing is
        known of it.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are out of range, empty or of two lengths.

    Example:
        >>> transition_matrix([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], num_classes=2)
        array([[0.75, 0.25],
               [0.  , 1.  ]])
    """
    clean, noisy = check_labels("clean", clean, num_classes), check_labels("noisy", noisy, num_classes)
    if clean.shape != noisy.shape:
        way_out = "pass the two labels of each sample in the same order"
        raise ValueError(f"`noisy` must be as long as `clean` ({len(clean)}), got {len(noisy)}: {way_out}")
    cells = np.bincount(clean * num_classes + noisy, minlength=num_classes**2)
    counts = cells.reshape(num_classes, num_classes)
    totals = counts.sum(axis=1, keepdims=True)
    matrix: Matrix = np.full(counts.shape, np.nan)
    np.divide(counts, totals, out=matrix, where=totals > 0)
    return matrix
