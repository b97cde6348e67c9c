"""Labels drawn one by one from the row of a transition matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_labels
from noisylearn.noise._legacy_rng import legacy_rng
from noisylearn.noise.matrices import Matrix
from noisylearn.noise.record import NoisyLabels


def from_matrix(labels: npt.ArrayLike, matrix: npt.ArrayLike, seed: int = 0) -> NoisyLabels:
    """Draw each given label from the row of a transition matrix, independently.

    The draw is ``RandomState(seed).multinomial(1, matrix[y])`` for one sample after another in dataset order:
    the sampler of Co-teaching (Han et al., 2018), JoCoR, CDR, PES and T-Revision, so the labels are theirs
    bit for bit. (Co-teaching and JoCoR always use seed 0, CDR, PES and T-Revision default to 1.)

    Args:
        labels: ``(N,)`` integers, the clean labels.
        matrix: ``(C, C)`` row-stochastic: entry (i, j) is the chance that clean class i is given label j.
        seed: Seed of the draw.

    Returns:
        The record; its ``rate`` is the fraction of wrong labels that the matrix makes of these labels on
        average.

    Raises:
        TypeError: Labels are not integers.
        ValueError: Labels are empty or out of range, or the matrix is not row-stochastic.

    Example:
        >>> from_matrix([0, 1, 2, 0], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]).labels
        array([1, 2, 0, 1])
    """
    checked = check_matrix("matrix", matrix)
    clean = check_labels("labels", labels, len(checked))
    rate = float(1.0 - checked.diagonal()[clean].mean())
    return NoisyLabels(sample_rows(clean, checked, seed), clean, "from_matrix", rate, seed)


def sample_rows(clean: npt.NDArray[np.int64], matrix: Matrix, seed: int) -> npt.NDArray[np.int64]:
    """Draw one label per sample from ``matrix[clean]``; the checked core of `from_matrix`.

    This stays a loop: a multinomial draw takes a number of uniforms that depends on its outcome, so where a
    sample's part of the stream begins is known only once all before it are drawn. Each pass is one compiled
    call.

    Args:
        clean: ``(N,)`` int64 in ``[0, C)``.
        matrix: ``(C, C)`` float64, row-stochastic.
        seed: Seed of the draw.

    Returns:
        ``(N,)`` int64.

    Example:
        >>> sample_rows(np.array([0, 1]), np.eye(2), seed=0)
        array([0, 1])
    """
    multinomial = legacy_rng(seed).multinomial
    rows = list(matrix)
    return np.fromiter((multinomial(1, rows[y]).argmax() for y in clean.tolist()), np.int64, count=len(clean))


def check_matrix(name: str, matrix: Any) -> Matrix:
    """Return ``matrix`` as a square float64 array whose rows sum to 1.

    Rows off by more than rounding (1e-12) but less than 1e-6, as float32 matrices are, are divided by their
    sum; others are returned bit for bit.

    Args:
        name: The argument's name, for the message.
        matrix: ``(C, C)`` numbers, C at least 2.

    Raises:
        ValueError: The matrix is not square, has one class, an entry outside ``[0, 1]`` or a row that does
            not sum to 1.

    Example:
        >>> check_matrix("matrix", [[1, 0], [0.5, 0.25]])
        Traceback (most recent call last):
        ValueError: row 1 of `matrix` must sum to 1, got 0.75: ...
    """
    array = np.array(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        way_out = "one row per clean class, one column per given label, at least 2 classes"
        raise ValueError(f"`{name}` must be square, got shape {array.shape}: {way_out}")
    valid = (array >= 0) & (array <= 1)
    if not valid.all():
        i, j = (int(k) for k in np.argwhere(~valid)[0])
        way_out = "entries are chances (a class without samples has an unknown row: fill it)"
        raise ValueError(f"`{name}` must be in [0, 1], got {array[i, j]} at ({i}, {j}): {way_out}")
    sums = array.sum(axis=1)
    error = np.abs(sums - 1.0)
    if error.max() > 1e-6:
        row = int(error.argmax())
        way_out = "entry (i, j) is the chance that clean class i is given label j"
        raise ValueError(f"row {row} of `{name}` must sum to 1, got {sums[row]:.6g}: {way_out}")
    off = error > 1e-12  # NumPy's sampler refuses these
    array[off] /= sums[off, None]
    return array
