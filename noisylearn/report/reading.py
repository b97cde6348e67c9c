"""Read a run folder: ``result.json``, ``metrics.csv``, ``signals.parquet`` and ``config.yaml``."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

NOT_SCORES = frozenset({"index", "given", "clean", "suggested", "n_seen"})
"""Columns of ``signals.parquet`` that are no score of a sample; neither is any other column of whole numbers."""


@dataclass(frozen=True)
class Run:
    """What one run folder holds.

    Attributes:
        path: The folder.
        result: ``result.json``.
        metrics: Columns of ``metrics.csv``, each ``(rows,)`` float64 with NaN where a row has no value; empty
            without the file.
        signals: ``signals.parquet``, one row per training sample; ``None`` without the file.
        config: The text of ``config.yaml``; empty without the file.
    """

    path: Path
    result: dict[str, Any]
    metrics: dict[str, npt.NDArray[np.float64]]
    signals: pa.Table | None
    config: str

    @property
    def method(self) -> str:
        """The method's name, or the folder's where the result does not say."""
        return str(self.result.get("method") or self.path.name)

    @property
    def seed(self) -> str:
        """The seed as text; ``"?"`` where the result does not say."""
        return str(self.result.get("seed", "?"))

    @property
    def score_names(self) -> list[str]:
        """The scores in ``signals.parquet``, in the file's order."""
        if self.signals is None:
            return []
        fields = (f for f in self.signals.schema if f.name not in NOT_SCORES and pa.types.is_floating(f.type))
        return [f.name for f in fields]

    @property
    def has_suggestions(self) -> bool:
        """Whether the model's suggested label was tracked."""
        return self.signals is not None and "suggested" in self.signals.column_names

    @cached_property
    def score_info(self) -> dict[str, dict[str, Any]]:
        """What the signals file says of each score: ``higher_is_noisier``, ``signal``, ``description``."""
        metadata = (self.signals.schema.metadata or {}) if self.signals is not None else {}
        scores = json.loads(metadata.get(b"noisylearn", b"{}")).get("scores", {})
        return dict(scores)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the signals as an array ``(num_samples,)``; a null is NaN in a float column.

        Args:
            name: The column's name.

        Raises:
            KeyError: There are no signals, or no such column.
        """
        if self.signals is None or name not in self.signals.column_names:
            raise KeyError(f"{self.path} has no signals column {name!r}; it has {self.score_names}")
        return np.asarray(self.signals.column(name).to_numpy())

    def class_name(self, label: int) -> str:
        """Return the class's name, or its number where there is no name; ``"–"`` for -1 (unknown)."""
        if label < 0:
            return "–"
        names = self.result.get("class_names") or []
        return str(names[label]) if label < len(names) else str(label)

    @cached_property
    def num_classes(self) -> int:
        """Number of classes, from the result or, without it, the largest label seen."""
        stated = self.result.get("num_classes")
        if stated is not None:
            return int(stated)
        if self.signals is None or self.signals.num_rows == 0:
            return 0
        labels = ("given", "clean", "suggested") if self.has_suggestions else ("given", "clean")
        return 1 + max(int(self.column(n).max()) for n in labels)


def load_run(path: Path) -> Run:
    """Read one run folder.

    Only ``result.json`` is required: a part of the page whose file is missing is left out with a line that says so.

    Args:
        path: The run folder.

    Raises:
        FileNotFoundError: The folder or its ``result.json`` does not exist.
        ValueError: A file in it cannot be read; the message names the file.

    Example:
        >>> import json, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "result.json").write_text(json.dumps({"method": "ELR", "seed": 1}))
        >>> run = load_run(folder)
        >>> run.method, run.seed, run.signals is None
        ('ELR', '1', True)
    """
    path = Path(path)
    source = path / "result.json"
    if not source.is_file():
        way_out = "pass a folder that `noisylearn fit` or `demo` has finished writing"
        raise FileNotFoundError(f"`runs` must be run folders with a result.json, found none in {path}: {way_out}")
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{source} is not valid JSON ({error}): run the cell again") from error
    if not isinstance(result, dict):
        raise ValueError(f"{source} must hold a JSON object, got {type(result).__name__}: run the cell again")
    config = path / "config.yaml"
    return Run(
        path=path,
        result=result,
        metrics=_read_metrics(path / "metrics.csv"),
        signals=_read_signals(path / "signals.parquet"),
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
    )


def _read_metrics(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [n for n in (rows[0] if rows else {}) if n]
    try:
        return {n: np.array([float(r[n] or "nan") for r in rows], dtype=np.float64) for n in names}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold numbers or nothing in every field ({error})") from error


def _read_signals(path: Path) -> pa.Table | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:  # a name would be read as a URI where it has a colon
            table = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a readable parquet file ({error}): run the cell again") from error
    missing = {"index", "given", "clean"} - set(table.column_names)
    if missing:
        raise ValueError(f"{path} must have the columns index, given and clean, lacks {sorted(missing)}")
    return table


def per_epoch(run: Run, key: str) -> dict[int, float]:
    """Return a metric's last finite value of every epoch, keyed by the epoch (0 is the first).

    Args:
        run: The run.
        key: A column of ``metrics.csv``, e.g. ``"test_accuracy"``.

    Example:
        >>> metrics = {"epoch": np.array([0.0, 0.0, 1.0]), "test_accuracy": np.array([0.5, 0.6, np.nan])}
        >>> per_epoch(Run(Path("r"), {}, metrics, None, ""), "test_accuracy")
        {0: 0.6}
    """
    if key not in run.metrics or "epoch" not in run.metrics:
        return {}
    pairs = zip(run.metrics["epoch"], run.metrics[key], strict=True)
    return {int(e): float(v) for e, v in pairs if np.isfinite(e) and np.isfinite(v)}
