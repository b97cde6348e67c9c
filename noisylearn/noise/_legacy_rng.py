"""The random stream of the reference implementations."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


def legacy_rng(seed: Any) -> np.random.RandomState:
    """Return NumPy's legacy generator for ``seed``.

    The reference implementations draw their noise from it, and NumPy has frozen its streams (NEP 19), so
    labels made from it are the same in every version. It is a private instance: the global NumPy state is
    left alone.

    Args:
        seed: An integer in ``[0, 2**32)``.

    Raises:
        TypeError: ``seed`` is not an integer.
        ValueError: ``seed`` is out of range.

    Example:
        >>> legacy_rng(0).randint(10, size=3)
        array([5, 0, 3])
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        way_out = "every noise is drawn from a fixed seed, pass e.g. 0"
        raise TypeError(f"`seed` must be an integer, got {seed!r} ({type(seed).__name__}): {way_out}")
    if not 0 <= int(seed) < 2**32:
        raise ValueError(f"`seed` must be in [0, 2**32), got {seed}: pass e.g. 0")
    return np.random.RandomState(int(seed))
