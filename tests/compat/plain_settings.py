"""What is tried of the plain project alone: loaders, Trainers, fits and callbacks of many kinds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from noisylearn.callbacks import MemorizationMeter, SignalTracker, SignalWriter
from tests.compat.comparing import equals_the_count, equals_the_slow_loop, trained_alike
from tests.compat.kinds import KINDS, NUM_CLASSES, NUM_SAMPLES
from tests.compat.watching import Pass, watch


class Fit:
    """A fit of the project with these callbacks, and what its network was really shown."""

    def __init__(
        self, project: Any, callbacks: list[Any], loader: dict[str, Any], trainer: dict[str, Any], fits: int = 1
    ) -> None:
        torch.manual_seed(3)
        self.module, self.loader = project.Classifier(), project.make_loader(**loader)
        self.given = self.loader.dataset.y
        self.passes: list[Pass] = []
        sampler = self.loader.batch_sampler.sampler
        for number in range(fits):
            self.trainer = project.make_trainer(callbacks, **trainer)
            with watch(self.trainer, self.module, KINDS["plain"].watched, first_epoch=3 * number) as passes:
                self.trainer.fit(self.module, self.loader)
            self.passes += passes
        assert self.loader.batch_sampler.sampler is sampler, "the loader's sampler was not put back"


def is_tracked(project: Any, loader: dict[str, Any], fits: int = 1, **trainer: Any) -> None:
    tracker = SignalTracker()
    fit = Fit(project, [tracker], loader, trainer, fits)
    total = equals_the_slow_loop(tracker, fit.passes, fit.given)
    if loader.get("drop_last"):
        assert total == fits * 3 * 48
    if trainer.get("limit_train_batches") == 3:
        assert total == fits * 3 * 24


def changes_nothing(project: Any, loader: dict[str, Any]) -> None:
    clean = torch.zeros(NUM_SAMPLES, dtype=torch.int64)
    callbacks = [SignalTracker(), MemorizationMeter(clean)]
    trained_alike(Fit(project, [], loader, {}), Fit(project, callbacks, loader, {}))


def meters_and_writes(project: Any) -> None:
    given = project.Measurements().y
    clean = torch.where(torch.arange(NUM_SAMPLES) % 3 == 0, (given + 1) % NUM_CLASSES, given)
    clean[5] = -1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "signals.parquet")
        tracker = SignalTracker()
        fit = Fit(project, [tracker, MemorizationMeter(clean), SignalWriter(str(file))], {}, {})
        table = pq.read_table(file)
    assert table.num_rows == NUM_SAMPLES
    assert table["given"].to_pylist() == given.tolist()
    assert table["aum"].to_pylist() == tracker.scores()["aum"].tolist()
    equals_the_count(float(fit.trainer.callback_metrics["memorized"]), fit.passes, given, clean, epoch=2)


def several_at_once(project: Any) -> None:
    trackers = [SignalTracker(name="a"), SignalTracker(["Margin"], name="b")]
    Fit(project, list(trackers), {}, {})
    one, other = (tracker.scores()["aum"] for tracker in trackers)
    assert torch.equal(one, other)


def cases() -> dict[str, Callable[[Any], None]]:
    """What is tried, by name; each is handed the project's module."""
    out: dict[str, Callable[[Any], None]] = {}
    for workers in (0, 2):
        some = {"num_workers": workers}
        out |= {
            f"{workers} workers": partial(is_tracked, loader=some),
            f"{workers} workers, drop_last": partial(is_tracked, loader={**some, "drop_last": True}),
            f"{workers} workers, limit_train_batches": partial(is_tracked, loader=some, limit_train_batches=3),
            f"{workers} workers, accumulation": partial(is_tracked, loader=some, accumulate_grad_batches=2),
            f"{workers} workers, fit twice": partial(is_tracked, loader=some, fits=2),
            f"{workers} workers, nothing changed": partial(changes_nothing, loader=some),
        }
    return out | {
        "persistent workers": partial(is_tracked, loader={"num_workers": 2, "persistent_workers": True}),
        "meter and file": meters_and_writes,
        "several trackers": several_at_once,
    }
