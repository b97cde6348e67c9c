"""The demo: what wrong labels do to a network, and what helps, on data that is always there."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from noisylearn._checks import check_positive_int
from noisylearn.bench.job import Job
from noisylearn.bench.local import Fit, run_jobs
from noisylearn.bench.recipes import merge, recipe_job

METHODS = ("cross_entropy", "elr", "co_teaching")
SEEDS = (0, 1, 2)
DETECTORS = (("aum", "AUM"), ("wrong_events", "wrong\nevents"), ("el2n", "EL2N"))


def demo_jobs(out: Path, epochs: int = 60, seeds: Sequence[int] = SEEDS) -> list[Job]:
    """Return the demo's runs: the digits recipes, each seed with its own draw of the noise.

    Args:
        out: Folder of the run folders.
        epochs: Length of a run.
        seeds: Seeds of weights, order and noise.

    Example:
        >>> [job.name for job in demo_jobs(Path("runs/demo"), seeds=[0])]
        ['digits-cross_entropy-0', 'digits-elr-0', 'digits-co_teaching-0']
    """
    quiet = {"max_epochs": epochs, "enable_model_summary": False, "num_sanity_val_steps": 0}
    jobs = []
    for seed in seeds:
        for method in METHODS:
            job = recipe_job([f"digits/{method}"], seed, out)
            changes = {"data": {"init_args": {"noise_seed": seed}}, "trainer": quiet}
            jobs.append(Job(job.run, merge(job.config, changes)))
    return jobs


def run_demo(
    out: Path, fit: Fit, epochs: int = 60, workers: int | None = None, console: Console | None = None
) -> list[Path]:
    """Run the demo and print its table.

    Args:
        out: Folder of the run folders.
        fit: Makes one run, in a worker process (see `run_jobs`).
        epochs: Length of a run.
        workers: Processes at a time; by default one per core.
        console: Where to print.

    Returns:
        The run folders.
    """
    console = console or Console()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"`out` must be a folder, got {str(out)!r} ({error.strerror}): choose another") from error
    jobs = demo_jobs(out, check_positive_int("epochs", epochs))
    console.print(
        f"digits, 40 % of the labels replaced by wrong ones: {len(METHODS)} methods, {len(SEEDS)} seeds, "
        f"{epochs} epochs"
    )
    run_jobs(jobs, fit, workers, console)
    results = [json.loads((job.run / "result.json").read_text(encoding="utf-8")) for job in jobs]
    console.print(result_table(results))
    return [job.run for job in jobs]


def _percent(values: Iterable[float | None]) -> str:
    """Mean ± sample standard deviation, in per cent."""
    known = [100 * v for v in values if v is not None]
    if not known:
        return "-"
    return f"{statistics.mean(known):.1f}" + (f"±{statistics.stdev(known):.1f}" if len(known) > 1 else "")


def result_table(results: Sequence[dict[str, Any]]) -> Table:
    """Return the table of several runs: a row per method, mean ± sample standard deviation over its runs.

    Args:
        results: What their ``result.json`` files hold.

    Example:
        >>> table = result_table([{"method": "ELR", "test_last": 0.9, "test_best": 0.9, "memorized_last": 0.1,
        ...     "detection": {}, "train_seconds": 1.0}])
        >>> table.row_count
        1
    """
    methods = list(dict.fromkeys(r["method"] for r in results))
    runs = len(results) // len(methods)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)  # 80 columns are enough
    table.title = f"Test accuracy, wrong labels memorized, detection (AUROC/AP): in %, n = {runs}"
    table.title_justify = "left"
    table.add_column("method", no_wrap=True)
    for name in ("last", "best\n(oracle)", "memorized", *(title for _, title in DETECTORS), "a run"):
        table.add_column(name, justify="right", no_wrap=True)
    for method in methods:
        rows = [r for r in results if r["method"] == method]
        found = [_detector(rows, key) for key, _ in DETECTORS]
        fields = [_percent(r[k] for r in rows) for k in ("test_last", "test_best", "memorized_last")]
        seconds = statistics.mean(r["train_seconds"] for r in rows)
        table.add_row(method, *fields, *found, f"{seconds:.0f}s")
    return table


def _detector(rows: Sequence[dict[str, Any]], key: str) -> str:
    found = [r["detection"][key] for r in rows if key in r["detection"]]
    if not found:
        return "-"
    means = (100 * statistics.mean(f[k] for f in found) for k in ("auroc", "average_precision"))
    return "/".join(f"{mean:.1f}".replace("100.0", "100") for mean in means)
