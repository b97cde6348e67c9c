"""What the detection study found: its rows, and their averages over cells and seeds."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

HERE = Path(__file__).parent
METRICS = {"auroc": "AUROC", "average_precision": "AP", "precision_at_n": "precision at n"}
CELLS = {
    ("fashion_mnist", "symmetric"): "F sym",
    ("fashion_mnist", "pair_flip"): "F pair",
    ("fashion_mnist", "instance_dependent"): "F inst",
    ("cifar10", "symmetric"): "C sym",
    ("cifar10", "asymmetric_cifar10"): "C asym",
    ("cifar10", "instance_dependent"): "C inst",
    ("cifar10n", "worst"): "N worst",
    ("cifar10n", "aggre"): "N aggre",
}
FASHION = [cell for cell in CELLS if cell[0] == "fashion_mnist"]
HELD_OUT = [cell for cell in CELLS if cell[0] != "fashion_mnist"]

Row = dict[str, str]
Cell = tuple[str, str]


def read(name: str) -> list[Row]:
    """Return the rows of one of the CSV files."""
    with (HERE / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def with_error(values: Sequence[float], digits: int = 3) -> str:
    """Return the mean over seeds and its standard error.

    Example:
        >>> with_error([0.5, 0.6, 0.7])
        '0.600 ± 0.058'
    """
    if len(values) < 2:
        return f"{fmean(values):.{digits}f}"
    return f"{fmean(values):.{digits}f} ± {stdev(values) / len(values) ** 0.5:.{digits}f}"


class Results:
    """The figures by reading, signal, cell and seed."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.trackers: dict[str, str] = {}
        self._figures: dict[tuple[str, str, Cell], dict[str, Row]] = defaultdict(dict)
        for row in rows:
            self._figures[row["when"], row["signal"], (row["data"], row["noise"])][row["seed"]] = row
            self.trackers[row["signal"]] = row["tracker"]

    def signals(self, when: str) -> list[str]:
        """Return the signals of a reading."""
        return list(dict.fromkeys(signal for w, signal, _ in self._figures if w == when))

    def per_seed(self, when: str, signal: str, metric: str, cells: Sequence[Cell] = tuple(CELLS)) -> list[float]:
        """Return a figure's average over cells, one for each seed."""
        found = [self._figures[when, signal, cell] for cell in cells]
        return [fmean(float(rows[seed][metric]) for rows in found) for seed in found[0]]

    def mean(self, when: str, signal: str, metric: str, cells: Sequence[Cell] = tuple(CELLS)) -> float:
        """Return a figure's average over cells and seeds."""
        return fmean(self.per_seed(when, signal, metric, cells))


def is_single(signal: str) -> bool:
    """Whether it is a signal of one training, not a combination and not of cleanlab's five trainings."""
    return not signal.startswith(("suspicion", "mean rank")) and "cleanlab" not in signal


def is_listed(signal: str) -> bool:
    """Whether it has a row among the signals; candidates have a table of their own."""
    return not signal.startswith("mean rank")
