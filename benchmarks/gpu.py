"""What a borrowed GPU is for, in one command: the tests that need one, then the benchmarks, then runs of the cells.

    make gpu OUT=DIR [ARGS="--minutes 9 --parts tests benchmarks runs"]

It runs straight from the checkout with the machine's own Python and needs no network. It stops when the time is up and
goes on in the next call: what it has made so far lies in ``--state``, outside the checkout. Into DIR go at most seven
files: a log of each part, ``benchmarks.json``, ``runs.csv`` and the table of its means. On a machine without a GPU it
does the same on the CPU, as a rehearsal, and says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("tests", "benchmarks", "runs")
SCRIPTS = ("tracking", "fit_loop", "augmentation", "rows", "mixture")
"""Most valuable first."""


class Budget:
    """Minutes that are left."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    @property
    def seconds(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(self.end - time.monotonic(), 0.0)


def call(command: list[str], log: Path, budget: Budget, **variables: str) -> int | None:
    """Run a Python command of the checkout into a log.

    Args:
        command: What follows ``python``.
        log: The file that its output is added to.
        budget: It ends when this does.
        **variables: Of its environment.

    Returns:
        Its exit status; None where time ran out.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables}
    print("$ python", *command, flush=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ python {' '.join(command)}\n")
        file.flush()
        try:
            done = subprocess.run(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=budget.seconds or 1,
                check=False,
            )
        except subprocess.TimeoutExpired:
            file.write("stopped: the time is up\n")
            return None
    return done.returncode


def run_tests(out: Path, state: Path, budget: Budget) -> bool:
    """Run the tests that need a GPU; return whether they passed."""
    marker = ["-m", "gpu", "tests"] if _has_gpu() else ["tests/unit/test_tables.py"]
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    return call(["-m", "pytest", *options, *marker], out / "tests.log", budget) == 0


def run_benchmarks(out: Path, state: Path, budget: Budget) -> bool:
    """Run the benchmarks that are not made yet; return whether all are."""
    results = state / "results"
    for script in SCRIPTS:
        if not (results / f"{script}.csv").is_file() and budget.seconds:
            call([f"benchmarks/{script}.py", "--save"], out / "benchmarks.log", budget, NOISYLEARN_RESULTS=str(results))
    made = {file.stem: _rows(file) for file in sorted(results.glob("*.csv"))}
    (out / "benchmarks.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return set(SCRIPTS) <= made.keys()


def run_cells(out: Path, state: Path, budget: Budget, cells: list[str], seeds: list[str]) -> bool:
    """Make as many runs of the cells as there is time for; return whether all are made."""
    command = ["-m", "noisylearn.cli", "bench", *cells, "--seeds", *seeds, "--out", str(state / "runs")]
    command += ["--csv", str(out / "runs.csv"), "--time-budget", f"{budget.seconds / 60:.2f}"]
    call(command, out / "runs.log", Budget(budget.seconds / 60 + 1))  # it stops by itself, and writes its table then
    return len(_rows(out / "runs.csv")) >= len(cells) * len(seeds)


def _rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def main() -> int:
    """Do the parts that were asked for."""
    listed = yaml.safe_load((ROOT / "recipes" / "cells.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for logs and results")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop then (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which (default: all, in this order)")
    parser.add_argument("--state", type=Path, default=Path.home() / "noisylearn-gpu", help="what lasts (%(default)s)")
    parser.add_argument("--cells", nargs="+", default=listed, help="recipes (default: recipes/cells.yaml)")
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2"])
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    args.state.mkdir(parents=True, exist_ok=True)
    if not _has_gpu():
        print("no GPU here: a rehearsal on the CPU")
    budget = Budget(args.minutes)
    done = []
    for part in args.parts:
        if part == "tests":
            done.append(run_tests(args.out, args.state, budget))
        elif part == "benchmarks":
            done.append(run_benchmarks(args.out, args.state, budget))
        else:
            done.append(run_cells(args.out, args.state, budget, args.cells, args.seeds))
        print(f"{part}: {'done' if done[-1] else 'not all done; see ' + str(args.out / f'{part}.log')}", flush=True)
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
