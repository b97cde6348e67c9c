"""A split that keeps the class proportions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_probability


def stratified_split(
    labels: npt.NDArray[np.int64], fraction: float, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split row numbers so that both parts have the classes in the same proportions.

    Each class gives ``fraction`` of its rows, and the rows lost to rounding down come from the classes with
    the largest remainders, so the held-out part has ``round(fraction * N)`` rows. Unlike scikit-learn's splitter it
    accepts classes with a single row. Labels of noisy data stratify by what was given, since nothing else is known.

    Args:
        labels: ``(N,)`` int64 class ids.
        fraction: Part to hold out, in ``[0, 1)``.
        seed: Seed of the choice.

    Returns:
        (kept, held out): sorted int64 rows, disjoint, together ``0..N-1``.

    Raises:
        ValueError: ``fraction`` is outside ``[0, 1)``, or above 0 and yet one part would be empty.

    Example:
        >>> kept, held_out = stratified_split(np.repeat([0, 1], [8, 4]), fraction=0.25)
        >>> len(kept), np.repeat([0, 1], [8, 4])[held_out].tolist()
        (9, [0, 0, 1])
    """
    check_probability("fraction", fraction, "pass the part to hold out, e.g. 0.1")
    total = round(fraction * len(labels))
    if total >= len(labels) or (fraction > 0 and total == 0):
        raise ValueError(
            f"`fraction` must leave both parts at least one row, got {fraction} of {len(labels)} rows: "
            "pass e.g. 0.1, or 0 for no split"
        )
    rng = np.random.default_rng(seed)
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    exact = counts * (total / len(labels))
    take = np.floor(exact).astype(np.int64)
    take[np.argsort(take - exact, kind="stable")[: total - int(take.sum())]] += 1
    picked = [rng.permutation(np.flatnonzero(inverse == c))[: take[c]] for c in range(len(classes))]
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[np.concatenate(picked)] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
