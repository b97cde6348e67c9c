"""From ``results.csv`` and ``runs.csv`` to ``tables.md``, and to the tables inside ``README.md``.

    python benchmarks/detection/summarise.py

A table of the README stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` and is written anew. Figures are
means over seeds, with the standard error of that mean. An average over cells is made for each seed first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from benchmarks.detection.results import (
    CELLS,
    FASHION,
    HELD_OUT,
    HERE,
    METRICS,
    Results,
    Row,
    is_listed,
    is_single,
    read,
    with_error,
)

LISTED = (
    "suspicion",
    "suspicion (core set)",
    "self_influence_normalized",
    "aum",
    "el2n",
    "loss_mean",
    "loss_last",
    "wrong_events",
    "confidence",
    "variability",
    "first_k_learned",
    "learning_order",
    "forgetting_events",
    "flips",
    "normalized_margin",
    "clean_probability (gmm)",
    "clean_probability (bmm)",
    "neighbor_disagreement",
    "csg",
    "vog",
    "curvature",
    "grand",
    "prediction_depth",
    "self_confidence (cleanlab)",
    "normalized_margin (cleanlab)",
)
"""What the README's table has; `tables.md` has every signal."""
BOTH = ("early", "whole")
SPOKEN_OF = (
    "suspicion",
    "suspicion (core set)",
    "self_influence_normalized",
    "aum",
    "el2n",
    "wrong_events",
    "loss_last",
    "forgetting_events",
    "normalized_margin",
    "neighbor_disagreement",
    "self_confidence (cleanlab)",
)
"""What the README's table by noise has."""
SUSPICION = ("suspicion", "suspicion (core set)")
PARTS_HEAD = ("reading", "score", "Fashion-MNIST", "CIFAR-10 and N, held out", "all")
COSTS = {
    "untracked": "training, untracked",
    "tracked": "the same, with all online signals",
    "confident": "confident learning, in sample",
    "gmm": "mixture of Gaussians",
    "bmm": "mixture of Betas",
    "neighbors": "neighbours",
    "dimension": "intrinsic dimension",
    "csg": "cumulative sample gradient",
    "vog": "variance of gradients",
    "curvature": "input curvature",
    "grand": "GraNd",
    "depth": "prediction depth",
    "folds": "cleanlab: five trainings",
    "cleanlab": "cleanlab: scores and issues",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_cell(results: Results, when: str, metric: str) -> str:
    """Return one figure of every signal in every cell, the best average first."""
    signals = [s for s in results.signals(when) if is_listed(s)]
    signals.sort(key=lambda s: -results.mean(when, s, metric))
    rows = (
        [
            s,
            *(with_error(results.per_seed(when, s, metric, [cell])) for cell in CELLS),
            with_error(results.per_seed(when, s, metric)),
        ]
        for s in signals
    )
    return table(["signal", *CELLS.values(), "average"], rows)


def overview(results: Results, runs: Sequence[Row], signals: Iterable[str]) -> str:
    """Return the averages of signals over all cells, early and whole, and what they cost, the best first."""
    early = results.signals("early")

    def best(signal: str) -> float:
        return max(results.mean(when, signal, "auroc") for when in BOTH if signal in results.signals(when))

    rows = []
    for s in sorted(signals, key=best, reverse=True):
        first = with_error(results.per_seed("early", s, "auroc")) if s in early else ""
        rest = [with_error(results.per_seed("whole", s, metric)) for metric in METRICS]
        rows.append([s, cost(results.trackers[s], runs), first, *rest])
    return table(["signal", "cost", "AUROC, early", "AUROC, whole", "AP, whole", "precision at n, whole"], rows)


def cost(tracker: str, runs: Sequence[Row]) -> str:
    """Return what a tracker adds to a training, in trainings, where the same cell was trained untracked."""
    runs = [run for run in runs if run["seconds_untracked"]]
    plain = sum(float(run["seconds_untracked"]) for run in runs)
    if tracker == "online":
        extra = sum(float(run["seconds_tracked"]) for run in runs) - plain
    else:
        name = {"cleanlab": "folds"}.get(tracker, tracker)
        extra = sum(float(run[f"seconds_{name}"]) for run in runs)
    return f"{extra / plain:.2f}"


def by_noise(results: Results) -> str:
    """Return the readings that the page speaks of, by cell."""
    rows = [
        [f"{s}, {when}", *(with_error(results.per_seed(when, s, "auroc", [cell])) for cell in CELLS)]
        for s in SPOKEN_OF
        for when in BOTH
    ]
    return table(["AUROC", *CELLS.values()], rows)


def combination(results: Results) -> str:
    """Return suspicion beside the best single signals: where it was chosen, and held out."""
    rows = []
    for when in BOTH:
        singles = sorted(filter(is_single, results.signals(when)), key=lambda s: -results.mean(when, s, "auroc"))[:3]
        rows += [_by_part(results, when, s, "auroc") for s in (*SUSPICION, *singles)]
    return table(PARTS_HEAD, rows)


def candidates(results: Results, metric: str) -> str:
    """Return every candidate for suspicion."""
    names = [s for s in results.signals("whole") if not is_listed(s)]
    return table(PARTS_HEAD, [_by_part(results, when, s, metric) for when in BOTH for s in names])


def _by_part(results: Results, when: str, signal: str, metric: str) -> list[str]:
    parts = (FASHION, HELD_OUT, tuple(CELLS))
    return [when, signal, *(with_error(results.per_seed(when, signal, metric, part)) for part in parts)]


def verdict(results: Results) -> str:
    """Return how far suspicion is ahead of the best single signal, seed by seed."""
    rows = []
    for when in BOTH:
        for where, part in {"all": tuple(CELLS), "Fashion-MNIST": FASHION, "held out": HELD_OUT}.items():
            best = max(filter(is_single, results.signals(when)), key=lambda s: results.mean(when, s, "auroc", part))
            theirs = results.per_seed(when, best, "auroc", part)
            ours = [results.per_seed(when, s, "auroc", part) for s in SUSPICION]
            ahead = [with_error([a - b for a, b in zip(mine, theirs, strict=True)]) for mine in ours]
            rows.append([when, where, best, with_error(theirs), *ahead])
    return table(["reading", "cells", "best single signal", "AUROC", *(f"{s}, ahead by" for s in SUSPICION)], rows)


def cells(runs: Sequence[Row]) -> str:
    """Return how much of each cell's labels is wrong, and how much of it was memorized."""
    rows = []
    for cell, name in CELLS.items():
        mine = [run for run in runs if (run["data"], run["noise"]) == cell]
        facts = (with_error([float(run[fact]) for run in mine]) for fact in ("wrong_rate", "memorized", "fitted_clean"))
        rows.append([name, *cell, *facts])
    return table(["cell", "data", "noise", "wrong labels", "of them memorized", "right labels fitted"], rows)


def costs(runs: Sequence[Row]) -> str:
    """Return CPU seconds by what they were spent on, for each data set's images."""
    rows = []
    for name, what in COSTS.items():
        line = [what, runs[0].get(f"sweeps_{name}", "")]
        for data in (("fashion_mnist",), ("cifar10", "cifar10n")):
            values = [run[f"seconds_{name}"] for run in runs if run["data"] in data]
            line.append(with_error([float(v) for v in values if v], digits=2) if any(values) else "")
        rows.append(line)
    return table(["what", "sweeps", "seconds, Fashion-MNIST", "seconds, CIFAR-10"], rows)


def about() -> str:
    """Return what the numbers were made with."""
    facts = json.loads((HERE / "about.json").read_text(encoding="utf-8"))
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def tables() -> dict[str, str]:
    """Return every table by name."""
    results, runs = Results(read("results.csv")), read("runs.csv")
    found = {
        "about": about(),
        "cells": cells(runs),
        "overview": overview(results, runs, LISTED),
        "every signal": overview(results, runs, filter(is_listed, results.signals("whole"))),
        "by noise": by_noise(results),
        "combination": combination(results),
        "verdict": verdict(results),
        "costs": costs(runs),
    }
    for when in BOTH:
        for metric, title in METRICS.items():
            found[f"{title}, {when}"] = by_cell(results, when, metric)
    for metric, title in METRICS.items():
        found[f"candidates, {title}"] = candidates(results, metric)
    return found


def filled(text: str, parts: dict[str, str]) -> str:
    """Return a text with its tables written anew."""
    block = re.compile(r"(<!-- table: ([^>]+?) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
    return block.sub(lambda m: f"{m[1]}{parts[m[2]]}\n{m[3]}", text)


def main() -> None:
    """Write both files."""
    parts = tables()
    text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
    (HERE / "tables.md").write_text(f"# Detection: all tables\n\nMade by `summarise.py`.\n\n{text}\n", encoding="utf-8")
    readme = HERE / "README.md"
    if readme.exists():
        readme.write_text(filled(readme.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    main()
