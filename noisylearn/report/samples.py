"""What the page says of samples: which are suspicious, how a score is distributed, how labels disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noisylearn.report.reading import Run

RANKING = ("aum", "el2n", "wrong_events", "loss_mean", "confidence")
"""Scores that rank suspicion, by preference: fixed beforehand, never chosen by how well they do on clean labels."""

HIGHER_IS_NOISIER = {"aum": False, "el2n": True, "wrong_events": True, "loss_mean": True, "confidence": False}

MAX_BINS = 48


def ranking_score(run: Run) -> str | None:
    """Return the name of the score by which the run's samples are ranked, or ``None`` if it has none of them."""
    return next((n for n in RANKING if n in run.score_names), None)


def most_suspicious(run: Run, count: int = 48) -> npt.NDArray[np.int64]:
    """Return the positions in the training set of the most suspicious samples, worst first.

    Samples are ranked by AUM (Pleiss et al. 2020; lower is more suspicious), or, where it was not tracked, by the
    first of EL2N, wrong events, mean loss and confidence. Samples without a finite score are left out.

    Args:
        run: A run with signals.
        count: How many to return at most.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"index": [10, 11, 12, 13], "aum": [0.5, -2.0, float("nan"), -1.0]})
        >>> from pathlib import Path
        >>> most_suspicious(Run(Path("r"), {}, {}, table, ""), count=2).tolist()
        [11, 13]
    """
    rows = suspicious_rows(run, count)
    return run.column("index")[rows].astype(np.int64) if len(rows) else np.zeros(0, np.int64)


def suspicious_rows(run: Run, count: int) -> npt.NDArray[np.int64]:
    """Return the rows of the signals table of the most suspicious samples, worst first (ties: first row first)."""
    name = ranking_score(run)
    if name is None:
        return np.zeros(0, np.int64)
    stated = run.score_info.get(name, {}).get("higher_is_noisier")
    higher = HIGHER_IS_NOISIER[name] if stated is None else bool(stated)
    scores = run.column(name).astype(np.float64)
    finite = np.flatnonzero(np.isfinite(scores))
    order = np.argsort(-scores[finite] if higher else scores[finite], kind="stable")
    return finite[order[:count]]


@dataclass(frozen=True)
class Histogram:
    """One score's distribution over parts of the training set.

    Attributes:
        edges: ``(bins + 1,)`` float64.
        counts: Part name (``"right"``, ``"wrong"`` or ``"all"``) to ``(bins,)`` int64.
        missing: Part name to the number of its samples without a finite value.
        beyond: Samples outside the edges, counted in the first and the last bin.
    """

    edges: npt.NDArray[np.float64]
    counts: dict[str, npt.NDArray[np.int64]]
    missing: dict[str, int]
    beyond: int


def parts(run: Run) -> dict[str, npt.NDArray[np.bool_]]:
    """Return masks over the signals' rows: ``right`` and ``wrong`` labels where the clean label is known, else ``all``.

    A part without samples is left out.
    """
    given, clean = run.column("given"), run.column("clean")
    known = clean >= 0
    if not known.any():
        return {"all": np.ones(len(given), dtype=bool)}
    masks = {"right": known & (given == clean), "wrong": known & (given != clean)}
    return {name: mask for name, mask in masks.items() if mask.any()}


def histogram(scores: npt.NDArray[np.float64], masks: dict[str, npt.NDArray[np.bool_]]) -> Histogram | None:
    """Return the distribution of the finite scores on each part, over common bins; ``None`` if none is finite.

    Whole numbers get one bin each if there are few. If a few far values would squeeze all others into a corner, the
    edges are those of the central 99 % and the rest is counted in the end bins (``beyond`` says how many).

    Args:
        scores: ``(N,)`` float64, NaN where there is no value.
        masks: Part name to ``(N,)`` bool.

    Example:
        >>> scores = np.array([0.0, 1.0, 1.0, np.nan])
        >>> shown = histogram(scores, {"right": np.array([1, 1, 0, 0], bool), "wrong": np.array([0, 0, 1, 1], bool)})
        >>> shown.counts["right"].tolist(), shown.counts["wrong"].tolist(), shown.missing
        ([1, 1], [0, 1], {'right': 0, 'wrong': 1})
    """
    finite = np.isfinite(scores)
    of_interest = scores[finite & np.logical_or.reduce(list(masks.values()))]
    if of_interest.size == 0:
        return None
    edges = _edges(of_interest)
    inside = np.clip(scores, edges[0], edges[-1])
    return Histogram(
        edges=edges,
        counts={name: np.histogram(inside[mask & finite], bins=edges)[0] for name, mask in masks.items()},
        missing={name: int((mask & ~finite).sum()) for name, mask in masks.items()},
        beyond=int(((of_interest < edges[0]) | (of_interest > edges[-1])).sum()),
    )


def _edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(q) for q in np.quantile(values, [0.005, 0.995]))
    if inner_high > inner_low and high - low > 4 * (inner_high - inner_low):
        low, high = inner_low, inner_high
    if np.array_equal(values, np.round(values)) and max(abs(low), abs(high)) < 2**52:  # beyond, halves are lost
        # Whole numbers: bins of equal whole width around them, so that no bin holds more of them than its neighbour.
        low, high = np.floor(low), np.ceil(high)
        width = int(np.ceil((high - low + 1) / MAX_BINS))
        bins = int(np.ceil((high - low + 1) / width))
        return np.asarray(low - 0.5 + width * np.arange(bins + 1), dtype=np.float64)
    edges = np.linspace(low, high, MAX_BINS + 1)
    if np.all(np.diff(edges) > 0):
        return edges
    # One value, or values too near to each other for so many floats between them.
    margin = max(0.5, 1e-12 * max(abs(low), abs(high)))
    return np.linspace(low - margin, high + margin, MAX_BINS + 1)


def confusion(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.int64]:
    """Return counts ``(C, C)``: entry (a, b) is how many samples have ``rows == a`` and ``columns == b``.

    Args:
        rows: ``(N,)`` labels; -1 is unknown and left out.
        columns: ``(N,)`` labels; -1 is unknown and left out.
        num_classes: C.

    Example:
        >>> confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    known = (rows >= 0) & (columns >= 0)
    flat = np.bincount(rows[known] * num_classes + columns[known], minlength=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


def frequent_pairs(counts: npt.NDArray[np.int64], limit: int) -> list[tuple[int, int, int]]:
    """Return the most frequent disagreements as (row class, column class, count), most frequent first.

    Example:
        >>> frequent_pairs(np.array([[5, 1], [3, 7]]), limit=5)
        [(1, 0, 3), (0, 1, 1)]
    """
    off = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-off, axis=None, kind="stable")[:limit]
    found = [(int(k // len(off)), int(k % len(off))) for k in order]
    return [(a, b, int(off[a, b])) for a, b in found if off[a, b] > 0]
