"""Argument checks and the wording of their messages.

Every message names the argument, the rule, the value found and the way out, so that a reader can act on the
one line. Checks here read Python and NumPy values, never a tensor on a device: none of them makes a GPU wait.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt


def _tail(hint: str) -> str:
    return f": {hint}" if hint else ""


def check_probability(name: str, value: Any, hint: str = "pass a fraction, e.g. 0.4") -> float:
    """Return ``value`` as a float in ``[0, 1]``.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        hint: The way out, appended to the message.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: ``value`` is NaN or outside ``[0, 1]``.

    Example:
        >>> check_probability("rate", 0.4)
        0.4
        >>> check_probability("rate", 40)
        Traceback (most recent call last):
        ValueError: `rate` must be in [0, 1], got 40: pass a fraction, e.g. 0.4
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number in [0, 1], got {value!r}{_tail(hint)}")
    if not 0.0 <= float(value) <= 1.0:
        raise ValueError(f"`{name}` must be in [0, 1], got {value!r}{_tail(hint)}")
    return float(value)


def check_positive_int(name: str, value: Any, hint: str = "pass a whole number of at least 1") -> int:
    """Return ``value`` as an int of at least 1.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        hint: The way out, appended to the message.

    Raises:
        TypeError: ``value`` is not an integer.
        ValueError: ``value`` is below 1.

    Example:
        >>> check_positive_int("batch_size", 128)
        128
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"`{name}` must be an integer, got {value!r} ({type(value).__name__}){_tail(hint)}")
    if value < 1:
        raise ValueError(f"`{name}` must be at least 1, got {value}{_tail(hint)}")
    return int(value)


def check_non_negative(name: str, value: Any, hint: str = "pass a finite number, e.g. 1.0") -> float:
    """Return ``value`` as a finite float of at least 0.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        hint: The way out, appended to the message.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: ``value`` is NaN, infinite or negative.

    Example:
        >>> check_non_negative("lam", 3)
        3.0
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number of at least 0, got {value!r}{_tail(hint)}")
    if not 0.0 <= float(value) < float("inf"):
        raise ValueError(f"`{name}` must be finite and at least 0, got {value!r}{_tail(hint)}")
    return float(value)


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the ``count`` names of ``known`` that read most like ``name``, best first.

    Args:
        name: What was asked for.
        known: The names that exist.
        count: How many to return at most.

    Example:
        >>> nearest("coteaching", ["ELR", "CoTeaching", "CrossEntropy"])
        ['CoTeaching']
    """
    by_lower = {k.lower(): k for k in known}
    return [by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the two-line message for a name that does not exist.

    Args:
        kind: What was looked for, e.g. ``"method"``.
        name: What was asked for.
        known: The names that exist.

    Example:
        >>> print(unknown_name("method", "Methud", ["Method", "ELR"]))
        no method `Methud`; did you mean `Method`?
        known: ELR, Method
    """
    names = sorted(known)
    close = nearest(name, names)
    guess = "; did you mean " + " or ".join(f"`{n}`" for n in close) + "?" if close else ""
    return f"no {kind} `{name}`{guess}\nknown: {', '.join(names)}"


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        choices: The values allowed.

    Raises:
        ValueError: ``value`` is none of them; the message gives the nearest names.

    Example:
        >>> check_choice("merge", "sum", ["sum", "last"])
        'sum'
    """
    options = list(choices)
    if value not in options:
        close = nearest(str(value), options)
        guess = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, options))}, got {value!r}{guess}")
    return str(value)


def _is_integer_dtype(array: npt.NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def check_labels(name: str, labels: Any, num_classes: int) -> npt.NDArray[np.int64]:
    """Return ``labels`` as a 1-D int64 array with values in ``[0, num_classes)``.

    Args:
        name: The argument's name, for the message.
        labels: ``(N,)`` integers: a list, an array or a CPU tensor.
        num_classes: Number of classes, at least 2.

    Raises:
        TypeError: The labels are not integers.
        ValueError: They are empty, not 1-D or out of range, or there is only one class.

    Example:
        >>> check_labels("labels", [0, 2, 1], num_classes=3)
        array([0, 2, 1])
    """
    check_positive_int("num_classes", num_classes)
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2, got {num_classes}: one class has no wrong label")
    array = np.asarray(labels)
    if array.size == 0:
        raise ValueError(f"`{name}` must hold at least one label, got none")
    if not _is_integer_dtype(array):
        way_out = "cast them with .astype(int64), or take the argmax of one-hot rows"
        raise TypeError(f"`{name}` must be integer class ids, got dtype {array.dtype}: {way_out}")
    if array.ndim != 1:
        raise ValueError(f"`{name}` must be 1-D, got shape {array.shape}: pass one class id per sample")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= num_classes:
        bad = low if low < 0 else high
        at = int(np.flatnonzero(array == bad)[0])
        raise ValueError(
            f"`{name}` must be in [0, {num_classes}), got {bad} at position {at}: "
            f"raise `num_classes` or map the labels to 0..{num_classes - 1}"
        )
    return array.astype(np.int64, copy=False)


def check_index(name: str, index: Any, num_samples: int) -> npt.NDArray[np.int64]:
    """Return ``index`` as a 1-D int64 array of row numbers in ``[0, num_samples)``.

    Args:
        name: The argument's name.
        index: ``(B,)`` integers on the CPU.
        num_samples: Number of rows.

    Raises:
        TypeError: The indices are not integers.
        IndexError: One of them is negative or at least ``num_samples``.

    Example:
        >>> check_index("index", [3, 0], num_samples=4)
        array([3, 0])
    """
    array = np.asarray(index)
    if array.size and not _is_integer_dtype(array):
        way_out = "index with the sample's position in the training set"
        raise TypeError(f"`{name}` must be integers, got dtype {array.dtype}: {way_out}")
    if array.size and (array.min() < 0 or array.max() >= num_samples):
        bad = int(array.min()) if array.min() < 0 else int(array.max())
        way_out = "pass positions in the training set, whose size this is"
        raise IndexError(f"`{name}` must be in [0, {num_samples}), got {bad}: {way_out}")
    return array.astype(np.int64, copy=False)
