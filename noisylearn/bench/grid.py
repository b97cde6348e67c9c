"""A grid of runs: recipes, each under several overlays and with several seeds, as rows of one CSV file."""

from __future__ import annotations

import csv
import io
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from noisylearn.bench.job import Job
from noisylearn.bench.recipes import merge, recipe_job

Row: TypeAlias = dict[str, str]

COLUMNS = (
    "recipe", "method", "seed", "schedule", "test_last", "test_best_oracle", "test_last_ensemble", "memorized_last",
    "aum_average_precision", "aum_auroc", "realised_noise_rate", "noise_sha1", "precision", "hardware", "torch",
    "commit", "minutes", "command",
)  # fmt: skip
"""What a row holds: what came out, and all that is needed to make it again."""


def grid_jobs(recipes: Sequence[str], overlays: Sequence[str], seeds: Sequence[int], out: Path) -> list[Job]:
    """Return the runs of a grid; a seed is that of weights, order and noise.

    Args:
        recipes: Names of recipes, e.g. ``digits/elr``.
        overlays: Names of recipes that change the others, e.g. ``digits/pair45``; none leaves them as they are.
        seeds: The seeds.
        out: Folder of the run folders.

    Raises:
        ValueError: There is no such recipe.

    Example:
        >>> [job.name for job in grid_jobs(["digits/elr"], ["digits/pair45"], [0, 1], Path("runs"))]
        ['digits-elr-digits-pair45-0', 'digits-elr-digits-pair45-1']
    """
    quiet = {"trainer": {"enable_model_summary": False, "num_sanity_val_steps": 0}}
    jobs = []
    for seed in seeds:
        for names in _names(recipes, overlays):
            job = recipe_job(names, seed, out)
            noise = {"data": {"init_args": {"noise_seed": seed}}}
            jobs.append(Job(job.run, merge(merge(job.config, noise), quiet)))
    return jobs


def grid_rows(recipes: Sequence[str], overlays: Sequence[str], seeds: Sequence[int], out: Path) -> list[Row]:
    """Return the rows of a grid's finished runs.

    Args:
        recipes: As in `grid_jobs`, like the others.
        overlays: The overlays.
        seeds: The seeds.
        out: Folder of the run folders.
    """
    jobs = iter(grid_jobs(recipes, overlays, seeds, out))
    named = [(names, seed, next(jobs)) for seed in seeds for names in _names(recipes, overlays)]
    return [_row(names, seed, job) for names, seed, job in named if job.done]


def _names(recipes: Sequence[str], overlays: Sequence[str]) -> list[list[str]]:
    return [[recipe, *([overlay] if overlay else [])] for overlay in overlays or [""] for recipe in recipes]


def _row(names: Sequence[str], seed: int, job: Job) -> Row:
    result = json.loads((job.run / "result.json").read_text(encoding="utf-8"))
    noise, aum = result["noise"], result["detection"].get("aum", {})
    command = ["noisylearn", "fit", *(word for name in names for word in ("--recipe", name))]
    command += ["--seed_everything", str(seed), "--data.init_args.seed", str(seed)]
    command += ["--data.init_args.noise_seed", str(seed)]
    return {
        "recipe": "+".join(names),
        "method": result["method"],
        "seed": str(seed),
        "schedule": f"{'reduced (' if result['reduced'] else ''}{result['epochs']} epochs{')' * result['reduced']}",
        "test_last": _fraction(result["test_last"]),
        "test_best_oracle": _fraction(result["test_best"]),
        "test_last_ensemble": _fraction(result["ensemble_last"]),
        "memorized_last": _fraction(result["memorized_last"]),
        "aum_average_precision": _fraction(aum.get("average_precision")),
        "aum_auroc": _fraction(aum.get("auroc")),
        "realised_noise_rate": f"{noise['realised_rate']:.5f}",
        "noise_sha1": noise["sha1"][:12],
        "precision": result["precision"],
        "hardware": _hardware(result["hardware"]),
        "torch": result["versions"]["torch"].partition("+")[0],
        "commit": result["commit"] or "",
        "minutes": f"{result['minutes']:.2f}",
        "command": shlex.join(command),
    }


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _hardware(found: Mapping[str, Any]) -> str:
    if found["device"] != "cpu":
        return f"{found['num_processes']} x {found['device']}"
    return f"{found['cpu']}, {found['cpu_threads']} thread{'s' * (found['cpu_threads'] != 1)}"


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a results file, none where there is no file.

    Example:
        >>> read_rows(Path("nothing/is/here.csv"))
        []
    """
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    """Put rows into a results file, in place of those of the same recipe and seed, and a table of means beside it.

    Args:
        file: The CSV file; the table is ``results.md`` in its folder.
        rows: The rows.
    """
    by_key = {(row["recipe"], row["seed"]): row for row in [*read_rows(file), *rows]}
    kept = [by_key[key] for key in sorted(by_key, key=lambda key: (key[0].partition("+")[::-1], key[1]))]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.getvalue(), encoding="utf-8")
    file.with_name("results.md").write_text(markdown(kept), encoding="utf-8")


def markdown(rows: Sequence[Row]) -> str:
    """Return one table per overlay: a row per recipe, mean ± sample standard deviation over its seeds, in per cent.

    Args:
        rows: Rows of a results file.

    Example:
        >>> row = {"recipe": "digits/elr+digits/pair45", "test_last": "0.5", "minutes": "1"}
        >>> print(markdown([dict.fromkeys(COLUMNS, "") | row]))
        ## digits/pair45
        <BLANKLINE>
        | recipe | method | last | best (oracle) | memorized, of the served | AUM average precision | minutes | n |
        |---|---|---|---|---|---|---|---|
        | elr |  | 50.0 | - | - | - | 1.0 | 1 |
        <BLANKLINE>
    """
    head = (
        "recipe",
        "method",
        "last",
        "best (oracle)",
        "memorized, of the served",
        "AUM average precision",
        "minutes",
    )
    parts = []
    for overlay in dict.fromkeys(row["recipe"].partition("+")[2] for row in rows):
        lines = ["| " + " | ".join((*head, "n")) + " |", "|" + "---|" * (len(head) + 1)]
        here = [row for row in rows if row["recipe"].partition("+")[2] == overlay]
        for recipe in dict.fromkeys(row["recipe"] for row in here):
            runs = [row for row in here if row["recipe"] == recipe]
            columns = ("test_last", "test_best_oracle", "memorized_last", "aum_average_precision")
            cells = [recipe.partition("+")[0].rpartition("/")[2], runs[0]["method"]]
            cells += [_percent([run[column] for run in runs]) for column in columns]
            cells += [f"{statistics.mean(float(run['minutes']) for run in runs):.1f}", str(len(runs))]
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join([f"## {overlay or 'as published'}", "", *lines, ""]))
    return "\n".join(parts)


def _percent(values: Sequence[str]) -> str:
    known = [100 * float(value) for value in values if value]
    if not known:
        return "-"
    return f"{statistics.mean(known):.1f}" + (f" ± {statistics.stdev(known):.1f}" if len(known) > 1 else "")
