"""What the losses check of the arguments beside logits and targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor


def check_number(name: str, value: Any, rule: str, holds: Callable[[float], bool], hint: str) -> float:
    """Return ``value`` as a float for which ``holds`` is true.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        rule: What ``holds`` tests, in words that follow "must be".
        holds: The test; it must be false for NaN.
        hint: The way out, appended to the message.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: ``holds`` is false.

    Example:
        >>> check_number("tau", 0.5, "at least 1", lambda tau: tau >= 1, "pass 10, the paper's")
        Traceback (most recent call last):
        ValueError: `tau` must be at least 1, got 0.5: pass 10, the paper's
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {value!r}: {hint}")
    if not holds(float(value)):
        raise ValueError(f"`{name}` must be {rule}, got {value!r}: {hint}")
    return float(value)


def check_exponent(name: str, value: Any, hint: str = "pass 0.7, the paper's") -> float:
    """Return ``value`` as a float in ``(0, 1]``.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: It is outside the interval.
    """
    return check_number(name, value, "in (0, 1]", lambda v: 0 < v <= 1, hint)


def check_positive(name: str, value: Any, hint: str) -> float:
    """Return ``value`` as a finite float above 0.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: It is 0, negative or not finite.
    """
    return check_number(name, value, "positive and finite", lambda v: 0 < v < math.inf, hint)


def check_weight(name: str, value: Any, hint: str = "pass the weight of the term, 0 to leave it out") -> float:
    """Return ``value`` as a finite float of at least 0.

    Raises:
        TypeError: ``value`` is not a real number.
        ValueError: It is negative or not finite.
    """
    return check_number(name, value, "at least 0 and finite", lambda v: 0 <= v < math.inf, hint)


def check_integer_rows(name: str, values: Tensor, targets: Tensor, hint: str) -> None:
    """Refuse ``values`` that are not one integer for each of ``targets``; reads no value, so no device waits.

    Raises:
        TypeError: They are floats, bools or complex numbers.
        ValueError: The shapes differ.
    """
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"`{name}` must be integers, got {values.dtype}: {hint}")
    if values.shape != targets.shape:
        found = f"got {tuple(values.shape)} for targets of shape {tuple(targets.shape)}"
        raise ValueError(f"`{name}` must be (B,), {found}: {hint}")
