"""Signals by name: those that need no argument, or only the number of classes, which the first step shows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TypeAlias

from noisylearn import signals as package
from noisylearn._checks import check_choice
from noisylearn.signals import Signal

Planned: TypeAlias = Signal | type[Signal]
"""A signal, or the class of one that waits for the number of classes."""

BY_NAME: dict[str, type[Signal]] = {
    name: value
    for name, value in vars(package).items()
    if isinstance(value, type) and issubclass(value, Signal) and value is not Signal
}


def as_list(signals: str | Signal | Sequence[str | Signal]) -> Sequence[str | Signal]:
    """Return one signal, or one name, as a list of it.

    Example:
        >>> as_list("Margin")
        ['Margin']
    """
    return [signals] if isinstance(signals, str | Signal) else signals


def planned(signals: Sequence[str | Signal]) -> list[Planned]:
    """Return signals, and the classes of those that are named.

    Args:
        signals: `Signal`s, or names of them.

    Raises:
        ValueError: There is no signal of a name (the message gives the nearest), or it needs arguments.

    Example:
        >>> planned(["Margin"])[0].__name__
        'Margin'
    """
    return [s if isinstance(s, Signal) else _class_of(s) for s in signals]


def built(signals: Sequence[Planned], num_classes: int) -> list[Signal]:
    """Return the signals themselves.

    Args:
        signals: What `planned` returned.
        num_classes: Number of classes.

    Example:
        >>> built(planned(["MeanProbability"]), num_classes=4)[0].bytes_per_sample
        16
    """
    return [s if isinstance(s, Signal) else s(**dict.fromkeys(_required(s), num_classes)) for s in signals]


def _class_of(name: str) -> type[Signal]:
    cls = BY_NAME[check_choice("signals", name, BY_NAME)]
    needed = [argument for argument in _required(cls) if argument != "num_classes"]
    if needed:
        raise ValueError(f"`signals`: {name!r} needs {', '.join(needed)}: pass noisylearn.signals.{name}(...) instead")
    return cls


def _required(cls: type[Signal]) -> list[str]:
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
