"""The parts of the page that show one run: score distributions, the suspicious samples, the label confusions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from noisylearn.report.figures import MAX_CLASSES_DRAWN, Spec, distribution, heatmap
from noisylearn.report.gallery import Gallery
from noisylearn.report.grouping import Group
from noisylearn.report.reading import Run
from noisylearn.report.samples import (
    Histogram,
    confusion,
    frequent_pairs,
    histogram,
    parts,
    ranking_score,
    suspicious_rows,
)
from noisylearn.report.wording import MINUS, NOTHING, count, percent, sentence, title

DIRECTIONS: dict[bool | None, str] = {
    True: "Higher is more suspicious.",
    False: "Lower is more suspicious.",
    None: "Neither end alone marks a wrong label.",
}
GALLERY_SIZE = 48
NUM_PAIRS = 20


@dataclass(frozen=True)
class Score:
    """One score of the shown run."""

    name: str
    title: str
    description: str
    direction: str
    detection: tuple[str, str, str]
    note: str
    spec: Spec | None


@dataclass(frozen=True)
class Tile:
    """One suspicious sample."""

    index: int
    image: str | None
    given: str
    suggested: str | None
    clean: str | None
    wrong: bool | None
    score: str


@dataclass(frozen=True)
class Confusion:
    """Given labels against others: a figure, or a list of pairs where there are too many classes to draw."""

    other: str
    spec: Spec | None
    pairs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Shown:
    """One run's panel."""

    name: str
    group: Group
    scores: tuple[Score, ...]
    parts: dict[str, str]
    ranked_by: str | None
    tiles: tuple[Tile, ...]
    tally: str
    confusions: tuple[Confusion, ...]
    clean_known: bool

    @property
    def by_name(self) -> dict[str, Score]:
        """The scores by name."""
        return {score.name: score for score in self.scores}

    @property
    def others(self) -> tuple[str, ...]:
        """What the given labels are set against."""
        return tuple(c.other for c in self.confusions)


def first_with_signals(group: Group) -> Run | None:
    """Return the method's first run that has signals, if any."""
    return next((run for run in group.runs if run.signals is not None and run.signals.num_rows), None)


def shown_runs(groups: Sequence[Group], gallery: Gallery | None) -> list[Shown]:
    """Return a panel for the first run of each method that has signals.

    Args:
        groups: The methods.
        gallery: Images of suspicious samples, if there are any.
    """
    images = gallery.data_uris() if gallery is not None else {}
    found = ((group, first_with_signals(group)) for group in groups)
    return [_shown(group, run, images) for group, run in found if run is not None]


def _shown(group: Group, run: Run, images: dict[int, str]) -> Shown:
    rows = suspicious_rows(run, GALLERY_SIZE)
    ranked_by = ranking_score(run)
    known = bool((run.column("clean") >= 0).any())
    others = ["suggested"] * run.has_suggestions + ["clean"] * known
    return Shown(
        name=f"{group.label} · seed {run.seed}",
        group=group,
        scores=tuple(_score(run, name) for name in run.score_names),
        parts={name: count(int(mask.sum())) for name, mask in parts(run).items()},
        ranked_by=ranked_by,
        tiles=tuple(_tile(run, int(row), ranked_by or "", images) for row in rows),
        tally=_tally(run, rows) if known else "",
        confusions=tuple(_confusion(run, other) for other in others),
        clean_known=known,
    )


def _score(run: Run, name: str) -> Score:
    info = run.score_info.get(name, {})
    shown = histogram(run.column(name).astype(np.float64), parts(run))
    found: dict[str, Any] = (run.result.get("detection") or {}).get(name) or {}
    return Score(
        name=name,
        title=title(name),
        description=sentence(str(info.get("description") or "")),
        direction=DIRECTIONS[info.get("higher_is_noisier")],
        detection=(
            _fraction(found.get("auroc")),
            _fraction(found.get("average_precision")),
            _fraction(found.get("precision_at_n")),
        ),
        note=_note(shown),
        spec=None if shown is None else distribution(shown),
    )


def _fraction(value: float | None) -> str:
    return f"{value:.3f}" if value is not None and math.isfinite(value) else NOTHING


def _note(shown: Histogram | None) -> str:
    if shown is None:
        return "No sample has a finite value."
    lacking = {part: n for part, n in shown.missing.items() if n}
    where = {"right": "with a right label", "wrong": "with a wrong label", "all": "in all"}
    missing = ", ".join(f"{count(n)} {where[part]}" for part, n in lacking.items())
    notes = [f"Without a finite value, and not drawn: {missing}." if missing else "Every sample has a value."]
    if shown.beyond:
        notes.append(f"{count(shown.beyond)} far values are counted in the end bins.")
    return " ".join(notes)


def _tile(run: Run, row: int, ranked_by: str, images: dict[int, str]) -> Tile:
    index, given, clean = (int(run.column(n)[row]) for n in ("index", "given", "clean"))
    return Tile(
        index=index,
        image=images.get(index),
        given=run.class_name(given),
        suggested=run.class_name(int(run.column("suggested")[row])) if run.has_suggestions else None,
        clean=run.class_name(clean) if clean >= 0 else None,
        wrong=None if clean < 0 else given != clean,
        score=f"{float(run.column(ranked_by)[row]):#.3g}".replace("-", MINUS),
    )


def _tally(run: Run, rows: Any) -> str:
    given, clean = run.column("given"), run.column("clean")
    judged = rows[clean[rows] >= 0]
    known = clean >= 0
    if not len(judged):
        return ""
    wrong = judged[given[judged] != clean[judged]]
    share = percent(float((given[known] != clean[known]).mean()))
    tally = f"{len(wrong)} of these {len(judged)} labels are really wrong (of all labels: {share})"
    if not len(wrong) or not run.has_suggestions:
        return tally + "."
    found = int((run.column("suggested")[wrong] == clean[wrong]).sum())
    return f"{tally}; for {found} of the wrong ones the suggestion is the true class."


def _confusion(run: Run, other: str) -> Confusion:
    counts = confusion(run.column("given"), run.column(other), run.num_classes)
    names = [run.class_name(k) for k in range(run.num_classes)]
    title_ = {"suggested": "suggested", "clean": "true"}[other]
    if run.num_classes <= MAX_CLASSES_DRAWN:
        return Confusion(title_, heatmap(counts, names, title_), ())
    pairs = frequent_pairs(counts, NUM_PAIRS)
    return Confusion(title_, None, tuple((names[a], names[b], count(n)) for a, b, n in pairs))
