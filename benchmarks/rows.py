"""Rows: what a tracked step costs as the training set grows, and what a sample takes, in the same run.

The core set of signals is fed with batches of 128 random rows of a table of 1e5, 1e6, 1e7 and 1e8 samples (as far as
memory goes); the tables take turns, so that a change of the machine's speed meets them all. Printed are the median
milliseconds per step (staging included, the commit not: it passes over all rows once an epoch, and is printed by
itself), their ratio to the smallest table's, and the bytes a sample takes.

    [THP_MEM_ALLOC_ENABLE=1] python benchmarks/rows.py [--most 1e8] [--save]

The variable is torch's own switch for huge pages (Linux): without them, a part of a large table's step is spent on
finding the pages that its rows are on. Whether it was set stands in the results.

Goal: at most 1.15 times the smallest table's step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch
from _machine import add_save, machine, save

from noisylearn.signals import Observation, SignalSet, core_signals

BATCH, CLASSES, STEPS, ROUNDS = 128, 10, 64, 9


def one_round(signals: SignalSet, num_samples: int, generator: torch.Generator) -> float:
    """Feed a table with some steps and return the milliseconds of one."""
    rows = [torch.randint(num_samples, (BATCH,), generator=generator) for _ in range(STEPS)]
    logits = torch.randn(BATCH, CLASSES, generator=generator)
    targets = torch.randint(CLASSES, (BATCH,), generator=generator)
    start = time.perf_counter()
    for index in rows:
        signals.observe(Observation(index, logits, targets))
    signals.stage()
    return 1000 * (time.perf_counter() - start) / STEPS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--most", type=float, default=1e8, help="rows of the largest table")
    parser.add_argument("--threads", type=int, default=1)
    add_save(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(", ".join(machine().values()))

    tables: dict[int, SignalSet] = {}
    for power in range(5, 10):
        if 10**power <= args.most:
            try:
                tables[10**power] = SignalSet(core_signals(), 10**power)
            except MemoryError as error:
                print(f"1e{power} rows: {error}")
    generator = torch.Generator().manual_seed(0)
    for size, signals in tables.items():  # the first touch of a page is the system's cost, not the update's
        signals.table.commit(0)
        one_round(signals, size, generator)
    times: dict[int, list[float]] = {size: [] for size in tables}
    for _ in range(ROUNDS):
        for size, signals in tables.items():
            times[size].append(one_round(signals, size, generator))
    smallest = statistics.median(times[min(times)])
    results: list[dict[str, object]] = []
    for size, signals in tables.items():
        start = time.perf_counter()
        signals.commit(1)
        commit_s = time.perf_counter() - start
        step = statistics.median(times[size])
        state, staged = signals.table.bytes_per_sample
        huge_pages = os.environ.get("THP_MEM_ALLOC_ENABLE") == "1"
        row = {"rows": size, "huge_pages": huge_pages, "step_ms": f"{step:.3f}"}
        row |= {"ratio_to_smallest": f"{step / smallest:.3f}", "goal": 1.15}
        results.append(row | {"commit_s": f"{commit_s:.3f}", "state_bytes": state, "staged_bytes": staged})
        print(
            f"{size:>11,} rows: step {step:.3f} ms ({step / smallest:.3f} x the smallest, goal 1.15), commit "
            f"{commit_s:.3f} s, {state} + {staged} bytes a sample"
        )
    if args.save:
        save(__file__, results)


if __name__ == "__main__":
    main()
