"""Runs of one method with several seeds stand together; their figures are a mean and a deviation."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from noisylearn.report.reading import Run, per_epoch
from noisylearn.report.wording import NOTHING, percent


class FigureText(NamedTuple):
    """A `Figure` as text: mean, deviation (empty below two values), and "k of n" where some seeds have no value."""

    mean: str
    std: str
    part: str


@dataclass(frozen=True)
class Figure:
    """A number over seeds.

    Attributes:
        values: The seeds' finite values.
        expected: How many seeds there are; more than the values where some run lacks the figure.
    """

    values: tuple[float, ...]
    expected: int

    @property
    def mean(self) -> float | None:
        """The mean, ``None`` without values."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation (``n - 1``), ``None`` below two values."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def text(self, digits: int, scale: float = 1.0) -> FigureText:
        """Return the figure as text.

        Args:
            digits: Decimals.
            scale: Factor before rounding, e.g. 100 for per cent.

        Example:
            >>> Figure((0.5, 0.7), 2).text(1, scale=100)
            FigureText(mean='60.0', std='14.1', part='')
            >>> Figure((0.5,), 3).text(2)
            FigureText(mean='0.50', std='', part='1 of 3')
        """
        return FigureText(
            mean=NOTHING if self.mean is None else f"{scale * self.mean:.{digits}f}",
            std="" if self.std is None else f"{scale * self.std:.{digits}f}",
            part=f"{len(self.values)} of {self.expected}" if 0 < len(self.values) < self.expected else "",
        )


@dataclass(frozen=True)
class Group:
    """The runs of one method in one setting, one per seed.

    Attributes:
        label: The method's name; where settings differ, with what tells them apart.
        number: Position on the page, which decides the colour.
        runs: The runs, by seed in the order given.
    """

    label: str
    number: int
    runs: tuple[Run, ...]

    def figure(self, read: Callable[[Mapping[str, Any]], Any]) -> Figure:
        """Return a number of ``result.json`` over the runs; a run without it (absent, null or NaN) is left out.

        Args:
            read: Takes the result, returns the number or ``None``.
        """
        found = (read(run.result) for run in self.runs)
        numbers = [float(v) for v in found if isinstance(v, (int, float)) and not isinstance(v, bool)]
        return Figure(tuple(v for v in numbers if math.isfinite(v)), len(self.runs))

    def detection(self, score: str, figure: str) -> Figure:
        """Return a detection figure over the runs, e.g. ``("aum", "auroc")``."""
        return self.figure(lambda result: ((result.get("detection") or {}).get(score) or {}).get(figure))

    @property
    def seeds(self) -> str:
        """The seeds, e.g. ``"0, 1, 2"``."""
        return ", ".join(run.seed for run in self.runs)

    @property
    def reduced(self) -> str | None:
        """How the schedule was reduced, if any run says so."""
        marks = (run.result.get("reduced") for run in self.runs)
        mark = next((m for m in marks if m), None)
        return None if mark is None else (mark if isinstance(mark, str) else "reduced")

    @property
    def num_unfinished(self) -> int:
        """How many runs say that they were stopped before their last epoch."""
        return sum(run.result.get("completed") is False for run in self.runs)

    def curve(self, key: str) -> tuple[list[int], list[float], list[float | None]]:
        """Return a metric over epochs: epochs (1 is the first), mean, and sample std (``None`` below two seeds).

        Args:
            key: A column of ``metrics.csv``.
        """
        curves = [per_epoch(run, key) for run in self.runs]
        epochs = sorted({epoch for curve in curves for epoch in curve})
        values = [[curve[e] for curve in curves if e in curve] for e in epochs]
        stds = [float(np.std(v, ddof=1)) if len(v) > 1 else None for v in values]
        return [e + 1 for e in epochs], [float(np.mean(v)) for v in values], stds


def noise_of(run: Run) -> dict[str, Any]:
    """Return the run's noise record, empty where there is none."""
    return dict(run.result.get("noise") or {})


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Put the runs of one method and setting together, in the order of their first run.

    A setting is the data, the noise (generator and rate) and the number of epochs. Where runs have several, the label
    carries what differs.

    Args:
        runs: The runs.

    Example:
        >>> from pathlib import Path
        >>> runs = [Run(Path(f"{m}{s}"), {"method": m, "seed": s}, {}, None, "") for s in (0, 1) for m in ("CE", "ELR")]
        >>> [(g.label, g.seeds) for g in group_runs(runs)]
        [('CE', '0, 1'), ('ELR', '0, 1')]
    """
    settings = [setting_of(run) for run in runs]
    differing = [k for k in settings[0] if len({s[k] for s in settings}) > 1]
    members: dict[tuple[str, ...], list[Run]] = {}
    for run, setting in zip(runs, settings, strict=True):
        members.setdefault((run.method, *(setting[k] for k in differing)), []).append(run)
    return [Group(" · ".join(key), number, tuple(found)) for number, (key, found) in enumerate(members.items())]


def setting_of(run: Run) -> dict[str, str]:
    """Return the data, the noise and the number of epochs of a run as text; runs that differ here are not averaged."""
    noise, epochs = noise_of(run), run.result.get("epochs")
    rate = noise.get("rate")
    return {
        "data": str(run.result.get("data") or "unnamed data"),
        "noise": str(noise.get("generator") or "no noise") + (f" {percent(rate, 0)}" if rate else ""),
        "epochs": f"{epochs} epochs" if epochs is not None else "epochs not recorded",
    }


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return each run folder's path below the folder that holds them all.

    Example:
        >>> from pathlib import Path
        >>> run_names([Run(Path(p), {}, {}, None, "") for p in ("runs/demo/elr/0", "runs/demo/ce/0")])
        ['elr/0', 'ce/0']
    """
    paths = [run.path.resolve() for run in runs]
    if len(set(paths)) == 1:
        return [p.name for p in paths]
    shared = os.path.commonpath(paths)
    return [os.path.relpath(p, shared).replace(os.sep, "/") for p in paths]
