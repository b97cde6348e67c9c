"""What the signals are worth: one training a cell with all of them tracked at once, and cleanlab's five beside it.

A cell is a data set, a kind of noise and a seed. Each is one training with cross-entropy; its scores per sample go to a
file in ``--scores`` (made anew only if absent), its facts and seconds to ``runs.csv``. `evaluate.py` makes
``results.csv`` of the scores, `summarise.py` the tables.

    NOISYLEARN_DATA=... python benchmarks/detection/run.py

cleanlab is given probabilities out of sample, from five trainings on four fifths with the same network and schedule.
Where it cannot be imported, that is said and its part is left out. Seconds are of CPU time, which other processes of
the machine disturb less than the clock.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.detection.out_of_sample import cleanlab, cleanlab_scores
from benchmarks.detection.results import CELLS, HERE
from benchmarks.detection.trackers import SWEEPS, EarlyReading, TimedSweep, make_trackers, read
from benchmarks.detection.training import fit, make_data, probabilities

CONSOLE = Console()


def run(data_name: str, noise: str, seed: int, num_train: int, out: Path) -> dict[str, Any]:
    """Make one cell: write its scores and return its facts."""
    data = make_data(data_name, noise, seed, num_train)
    wrong = data.noisy_targets != data.clean_targets
    trackers = make_trackers(width=128, dear=seed == 0)
    early = EarlyReading(trackers)
    module, seconds = fit(data, None, seed, [*trackers.values(), early])
    scores, reading = read(trackers)
    predicted = probabilities(module, data).argmax(1)
    # The same training untracked, for its seconds.
    plain = fit(data, None, seed, [])[1] if seed == 0 else ""

    sweeps = {name: t for name, t in trackers.items() if isinstance(t, TimedSweep)}
    facts: dict[str, Any] = {
        "data": data_name,
        "noise": noise,
        "seed": seed,
        "num_train": num_train,
        "wrong_rate": wrong.double().mean().item(),
        "memorized": (predicted == data.noisy_targets)[wrong].double().mean().item(),
        "fitted_clean": (predicted == data.noisy_targets)[~wrong].double().mean().item(),
        "seconds_untracked": plain,
        "seconds_tracked": seconds - sum(t.seconds for t in sweeps.values()) - sum(early.seconds.values()),
        **{f"seconds_{n}": sweeps[n].seconds + reading[n] if n in sweeps else "" for n in SWEEPS},
        **{f"sweeps_{n}": sweeps[n].sweeps if n in sweeps else "" for n in SWEEPS},
    }
    kept = {f"early:{k}": v for k, v in early.scores.items()} | {f"whole:{k}": v for k, v in scores.items()}
    if cleanlab is not None:
        theirs, took = cleanlab_scores(data, seed)
        kept |= theirs
        facts |= {f"seconds_{name}": value for name, value in took.items()}
    else:
        facts |= {"seconds_folds": "", "seconds_cleanlab": ""}
    arrays = {name: value.numpy() for name, value in kept.items()}
    np.savez_compressed(out, given=data.noisy_targets, clean=data.clean_targets, **arrays)
    return facts


def record_machine(threads: int) -> None:
    """Write down what the numbers are made with; a run that goes on keeps what it began with."""
    if (HERE / "about.json").exists():
        return
    describe = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch on {threads} thread(s)",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "cleanlab": None if cleanlab is None else cleanlab.__version__,
        "commit": describe.stdout.strip() or None,
        "command": " ".join(["python", "benchmarks/detection/run.py", *sys.argv[1:]]),
    }
    (HERE / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def append(file: Path, facts: dict[str, Any]) -> None:
    """Add a row to a CSV file."""
    fresh = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, facts, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()})


def main() -> None:
    """Make the cells that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--num-train", type=int, default=2000, help="the first so many training samples")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--scores", type=Path, default=HERE / "runs", help="folder of the scores per sample")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", module="lightning")
    for name in [name for name in logging.root.manager.loggerDict if "lightning" in name]:
        logging.getLogger(name).setLevel(logging.ERROR)
    if cleanlab is None:
        CONSOLE.print("[yellow]cleanlab cannot be imported: its rows are left out (pip install noisylearn\\[cleanlab])")
    args.scores.mkdir(parents=True, exist_ok=True)
    record_machine(args.threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=CONSOLE) as progress:
        task = progress.add_task("cells", total=args.seeds * len(CELLS))
        for seed in range(args.seeds):
            for data, noise in CELLS:
                name = f"{data}-{noise}-{seed}"
                out = args.scores / f"{name}.npz"
                progress.update(task, description=name)
                if not out.exists():
                    start = time.perf_counter()
                    facts = run(data, noise, seed, args.num_train, out)
                    append(HERE / "runs.csv", facts)
                    memorized = f"memorized {facts['memorized']:.2f} of the wrong {facts['wrong_rate']:.2f}"
                    progress.console.print(f"{name}: {time.perf_counter() - start:.0f} s, {memorized}")
                progress.advance(task)


if __name__ == "__main__":
    main()
