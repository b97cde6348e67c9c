"""From the scores per sample that `run.py` has written to ``results.csv``: how well each finds the wrong labels.

    python benchmarks/detection/evaluate.py

One row per cell, reading and signal. ``early`` is what a signal says after the early window, ``whole`` what it says at
the end of the training. A high score counts as suspicious, or a low one where the signal declares that; signals that
declare neither are taken as they are, high. Samples that were never learned have no learning time and count as learned
last; where a mixture finds no split there is no answer, and all samples are tied. What has too few sweeps to say
anything is left out.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noisylearn import signals as package
from noisylearn.metrics.detection import evaluate_detection
from noisylearn.signals import Signal, average_rank, suspicion

HERE = Path(__file__).parent
SCORES = {
    score.name: score
    for cls in vars(package).values()
    if isinstance(cls, type) and issubclass(cls, Signal) and cls is not Signal
    for score in cls.scores
}
LABELS = {"given", "neighbor_label"}
SAME_ORDER = {"correctness", "loss_cumulative", "csg_mean"}
"""They rank the samples as another score does, since every sample is seen equally often."""
LEARNED_LAST = {"first_learned", "learned_for_good", "first_k_learned"}
CANDIDATES = (
    ("aum",),
    ("aum", "wrong_events"),
    ("aum", "el2n"),
    ("aum", "el2n", "wrong_events"),
    ("loss_mean", "wrong_events"),
    ("self_influence_normalized",),
    ("self_influence_normalized", "wrong_events"),
    ("self_influence_normalized", "aum", "wrong_events"),
)
"""Mean ranks of online scores, of which `suspicion` is made, with and without the rank inside the given class."""


def suspicious(name: str, values: Tensor) -> Tensor:
    """Return a score turned so that high is suspicious, and an answer for all samples.

    Args:
        name: The score's own name.
        values: ``(N,)``.
    """
    if name in LEARNED_LAST:
        values = values.nan_to_num(torch.inf)
    if values.isnan().all():
        return torch.zeros_like(values)
    return -values if SCORES[name].higher_is_noisier is False else values


def label_of(tracker: str, score: str) -> str:
    """Return the name in the results: the score's own, and whose it is where several have it.

    Example:
        >>> label_of("online", "aum"), label_of("gmm", "clean_probability"), label_of("cleanlab", "label_issue")
        ('aum', 'clean_probability (gmm)', 'label_issue (cleanlab)')
    """
    return f"{score} ({tracker})" if tracker in ("gmm", "bmm", "cleanlab") else score


def combinations(scores: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the combinations of a reading's online scores: `suspicion`, and the candidates for it."""
    yield "suspicion", suspicion(scores)
    yield "suspicion (core set)", suspicion({name: scores[name] for name in ("aum", "wrong_events", "given")})
    for parts in CANDIDATES:
        turned = [suspicious(part, scores[part]) for part in parts]
        ranks = [average_rank(score) for score in turned]
        inside = [average_rank(score, scores["given"]) for score in turned]
        yield "mean rank: " + ", ".join(parts), torch.stack(ranks).mean(0)
        yield "mean rank, also in class: " + ", ".join(parts), torch.stack([*ranks, *inside]).mean(0)


def evaluate(file: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of one cell."""
    data, noise, seed = file.stem.split("-")
    with np.load(file) as arrays:
        cell = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    wrong = cell.pop("given") != cell.pop("clean")
    online: dict[str, dict[str, Tensor]] = {"early": {}, "whole": {}}
    found: list[tuple[str, str, str, Tensor]] = []
    for name, values in cell.items():
        when, _, rest = name.partition(":")
        tracker, _, score = rest.partition("/")
        if tracker == "online":
            online[when][score] = values
        measured = score == "clean_probability" or not values.isnan().all()
        if measured and score not in LABELS | SAME_ORDER:
            found.append((when, tracker, label_of(tracker, score), suspicious(score, values.double())))
    for when, scores in online.items():
        found += [(when, "online", name, values) for name, values in combinations(scores)]
    for when, tracker, signal, values in found:
        result = evaluate_detection(values, wrong)
        yield {
            "data": data,
            "noise": noise,
            "seed": int(seed),
            "when": when,
            "tracker": tracker,
            "signal": signal,
            "auroc": f"{result.auroc:.5f}",
            "average_precision": f"{result.average_precision:.5f}",
            "precision_at_n": f"{result.precision_at_n:.5f}",
            "num_missing": result.num_missing,
        }


def main() -> None:
    """Write the results of all cells that are there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--scores", type=Path, default=HERE / "runs", help="folder of the scores per sample")
    args = parser.parse_args()
    files = sorted(args.scores.glob("*.npz"))
    if not files:
        raise SystemExit(f"no scores in {args.scores}: make them with run.py")
    rows = [row for file in files for row in evaluate(file)]
    with (HERE / "results.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows of {len(files)} cells")


if __name__ == "__main__":
    main()
