"""Other trackers: the `aum` and `traintools` packages, tracking what they can, against the same here, in the same run.

Each is fed with the same batches of logits: epochs of N samples in batches of 128, ten classes. Printed are the median
milliseconds per step and their ratio to ours for the same signals, and the bytes a sample takes: for ours what the
table declares, for theirs what Python's allocator gave out, divided by the samples.

    python benchmarks/other_trackers.py [--samples 2000] [--save]

`pip install aum pandas traintools` first; a package that is not there is left out, and said so. `traintools` sums all
samples up at every step, so that its time per step grows with their number.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch
from _machine import add_save, machine, save
from torch import Tensor

from noisylearn.signals import EL2N, DataMaps, Forgetting, Margin, Observation, Signal, SignalSet

BATCH, CLASSES, EPOCHS = 128, 10, 3
Step = Callable[[Tensor, Tensor, Tensor], object]


def ours(signals: list[Signal], num_samples: int) -> tuple[Step, Callable[[int], object], int]:
    """Return our step, our commit and our bytes a sample."""
    tracked = SignalSet(signals, num_samples)

    def step(index: Tensor, logits: Tensor, targets: Tensor) -> None:
        tracked.observe(Observation(index, logits, targets))
        tracked.stage()  # each step by itself, as theirs; waiting for more is faster still

    return step, tracked.commit, sum(tracked.table.bytes_per_sample)


def aum(module: Any) -> Step:
    """Return the step of the `aum` package."""
    calculator = module.AUMCalculator(tempfile.mkdtemp())
    return lambda index, logits, targets: calculator.update(logits, targets, index.tolist())


def traintools(*names: str) -> Callable[[Any], Step]:
    """Return what makes the step of some of the trackers of `traintools`."""

    def make(module: Any) -> Step:
        trackers = [getattr(module, name)() for name in names]

        def step(index: Tensor, logits: Tensor, targets: Tensor) -> None:
            for tracker in trackers:
                tracker.update(index, logits, targets)

        return step

    return make


CASES: list[tuple[str, str, str, Callable[[Any], Step], Callable[[], list[Signal]]]] = [
    ("aum", "AUM", "aum", aum, lambda: [Margin()]),
    ("traintools", "AUM", "traintools", traintools("AUMTracker"), lambda: [Margin()]),
    (
        "traintools",
        "AUM, EL2N, dynamics",
        "traintools",
        traintools("AUMTracker", "EL2NTracker", "ExampleDynamicsTracker"),
        lambda: [Margin(), EL2N(), DataMaps(), Forgetting()],
    ),
]


def run(step: Step, commit: Callable[[int], object] | None, batches: list[tuple[Tensor, Tensor, Tensor]]) -> float:
    """Run epochs and return the median milliseconds of a step, without the first epoch's."""
    times = []
    for epoch in range(EPOCHS):
        for index, logits, targets in batches:
            start = time.perf_counter()
            step(index, logits, targets)
            times.append(1000 * (time.perf_counter() - start))
        if commit is not None:
            start = time.perf_counter()
            commit(epoch)
            share = 1000 * (time.perf_counter() - start) / len(batches)
            times[-len(batches) :] = [t + share for t in times[-len(batches) :]]
    return statistics.median(times[len(batches) :])


def python_bytes(make: Callable[[], Step], batches: list[tuple[Tensor, Tensor, Tensor]], num_samples: int) -> float:
    """Return the bytes a sample that Python's allocator has given out after an epoch."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    step = make()
    for index, logits, targets in batches:
        step(index, logits, targets)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / num_samples


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    add_save(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(", ".join(machine().values()))

    generator = torch.Generator().manual_seed(0)
    batches = [
        (
            index,
            torch.randn(len(index), CLASSES, generator=generator),
            torch.randint(CLASSES, (len(index),), generator=generator),
        )
        for index in torch.arange(args.samples).split(BATCH)
    ]
    results: list[dict[str, object]] = []
    for package, what, module_name, make, signals in CASES:
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            print(f"{package}: left out, it cannot be imported ({error})")
            continue
        step, commit, our_bytes = ours(signals(), args.samples)
        our_ms = run(step, commit, batches)
        their_ms = run(make(module), None, batches)
        their_bytes = python_bytes(lambda module=module, make=make: make(module), batches, args.samples)
        row = {"package": package, "signals": what, "samples": args.samples, "their_ms": f"{their_ms:.3f}"}
        row |= {"our_ms": f"{our_ms:.3f}", "ratio": f"{their_ms / our_ms:.1f}", "their_bytes": f"{their_bytes:.0f}"}
        results.append(row | {"our_bytes": our_bytes})
        print(
            f"{package} ({what}), {args.samples} samples: a step {their_ms:.3f} ms against {our_ms:.3f} ms, "
            f"{their_ms / our_ms:.1f} x; a sample {their_bytes:.0f} bytes against {our_bytes}"
        )
    if args.save and results:
        save(__file__, results)


if __name__ == "__main__":
    main()
