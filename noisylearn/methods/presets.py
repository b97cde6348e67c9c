"""`Preset`: a method's own arguments as its authors set them for a data set, a kind of noise and a rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Preset:
    """What the authors of a method set its own arguments to, and where that was read.

    Only arguments that belong to the method: the protocol (network, optimizer, epochs) is a recipe's. An empty
    ``data`` or ``noise`` matches any.

    Args:
        data: Names of data sets (`NoisyDataModule.name`), e.g. ``("cifar10", "cifar10n")``.
        noise: Families of noise, see `noise_family`.
        args: Arguments of the method.
        source: Where they were read: a paper's table, or a file of the reference code.
        rates: Lowest and highest noise rate asked for that they are meant for, both included.
        guessed: Whether they are not the authors' own, or were quoted without opening a source.
        where: Other arguments of the method that they belong to, with the values these must have, e.g. the loss whose
            weights they are.

    Example:
        >>> Preset(("cifar10",), ("symmetric",), {"lam": 3.0}, "config_cifar10.json").matches("cifar10", "pair", 0.4)
        False
    """

    data: tuple[str, ...]
    noise: tuple[str, ...]
    args: Mapping[str, Any] = field(hash=False)
    source: str
    rates: tuple[float, float] = (0.0, 1.0)
    guessed: bool = False
    where: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def matches(self, data: str, noise: str, rate: float, decided: Mapping[str, Any] = _NOTHING) -> bool:
        """Return whether it is meant for this data set, family of noise and rate.

        Args:
            data: The data set's name.
            noise: The family of its noise.
            rate: The rate asked for.
            decided: The method's other arguments.
        """
        in_range = self.rates[0] <= rate <= self.rates[1]
        meant = in_range and (not self.data or data in self.data) and (not self.noise or noise in self.noise)
        return meant and all(decided.get(name) == value for name, value in self.where.items())

    def warning(self) -> str:
        """Return what to warn of before a guessed preset is used."""
        found = f"the preset {in_words(self.args)} is guessed ({self.source})"
        return f"{found}: set these arguments yourself where the result matters"


def in_words(args: Mapping[str, Any]) -> str:
    """Return arguments as they are written in a call.

    Example:
        >>> in_words({"lam": 3.0, "estimator": "anchor"})
        "lam=3.0, estimator='anchor'"
    """
    return ", ".join(f"{name}={value!r}" for name, value in args.items())


def noise_family(kind: str) -> str:
    """Return the family of a kind of noise: symmetric, asymmetric, pair, instance, human or none.

    Args:
        kind: A DataModule's ``noise_kind``.

    Example:
        >>> [noise_family(kind) for kind in ("symmetric_exact", "pair_flip", "asym_block5", "human_worse")]
        ['symmetric', 'pair', 'asymmetric', 'human']
    """
    first = kind.partition("_")[0]
    return "asymmetric" if first == "asym" else first


def find_preset(
    presets: Iterable[Preset],
    data: str,
    noise_kind: str,
    noise_rate: float,
    decided: Mapping[str, Any] = _NOTHING,
) -> Preset | None:
    """Return the first preset that matches, None if there is none: the more particular stand first.

    Args:
        presets: A method's presets.
        data: The data set's name.
        noise_kind: Its ``noise_kind``.
        noise_rate: The rate asked for.
        decided: Arguments of the method that are set already.

    Example:
        >>> everywhere = Preset((), (), {"lam": 1.0}, "the paper's section 5")
        >>> find_preset([everywhere], "digits", "symmetric", 0.4).args
        {'lam': 1.0}
    """
    family = noise_family(noise_kind)
    return next((preset for preset in presets if preset.matches(data, family, noise_rate, decided)), None)
