"""Run in a process of its own: tracks the plain project in every setting and prints what came out, as JSON.

    python track_project.py PROJECT_FILE

The reference is independent of what is tested: a hook on the project's network writes down inputs and logits, and the
first input feature of a sample is its number.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch import Tensor

NUM_SAMPLES, NUM_CLASSES = 53, 4


def load_project(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("project", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["project"] = module  # its dataset is pickled by name where workers are spawned
    spec.loader.exec_module(module)
    return module


# Before noisylearn, as in the project's own script.
project: Any = load_project(sys.argv[1]) if __name__ == "__main__" else None

from noisylearn.callbacks import MemorizationMeter, SignalTracker, SignalWriter  # noqa: E402
from tests.unit.signals.slow import check_scores, slow_scores  # noqa: E402

Steps = list[tuple[int, Tensor, Tensor, Tensor]]


class Fit:
    """A fit of the project with these callbacks, and what its network was really shown."""

    def __init__(self, callbacks: list[Any], loader: dict[str, Any], trainer: dict[str, Any], fits: int = 1) -> None:
        torch.manual_seed(3)
        self.module, self.steps = project.Classifier(), Steps()
        self.loader = project.make_loader(**loader)
        sampler = self.loader.batch_sampler.sampler
        for number in range(fits):
            self.epoch_offset = 3 * number
            self.trainer = project.make_trainer(callbacks, **trainer)
            handle = self.module.net.register_forward_hook(self.write_down)
            self.trainer.fit(self.module, self.loader)
            handle.remove()
        assert self.loader.batch_sampler.sampler is sampler, "the loader's sampler was not put back"
        assert "process_dataloader" not in vars(self.trainer.strategy), "the strategy is still shadowed"
        for name, part in self.module.named_modules():
            assert not part._forward_hooks, f"a hook is left on {name!r}"
            assert not part._forward_pre_hooks, f"a hook is left on {name!r}"

    def write_down(self, net: Any, args: Any, logits: Tensor) -> None:
        index = args[0][:, 0].long()
        epoch = self.epoch_offset + self.trainer.current_epoch
        self.steps.append((epoch, index, logits.detach().clone(), self.loader.dataset.y[index]))


def equals_the_slow_loop(loader: dict[str, Any], fits: int = 1, **trainer: Any) -> None:
    tracker = SignalTracker()
    fit = Fit([tracker], loader, trainer, fits)
    assert tracker.signal_set is not None
    expected = slow_scores(NUM_SAMPLES, NUM_CLASSES, fit.steps)
    check_scores(tracker.scores(), tracker.signal_set.table.views()["n_seen"], expected)
    total = sum(len(index) for _, index, _, _ in fit.steps)
    assert sum(expected["n_seen"]) == total > 0
    if loader.get("drop_last"):
        assert total == fits * 3 * 48
    if trainer.get("limit_train_batches") == 3:
        assert total == fits * 3 * 24


def changes_nothing(loader: dict[str, Any], **trainer: Any) -> None:
    clean = torch.zeros(NUM_SAMPLES, dtype=torch.int64)
    bare = Fit([], loader, trainer)
    tracked = Fit([SignalTracker(), MemorizationMeter(clean)], loader, trainer)
    one, other = bare.module.state_dict(), tracked.module.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one), "tracking changed the weights"
    loss = (fit.trainer.callback_metrics["train_loss"] for fit in (bare, tracked))
    assert len(set(map(float, loss))) == 1, "tracking changed a metric"


def meters_and_writes(loader: dict[str, Any]) -> None:
    given = project.Measurements().y
    clean = torch.where(torch.arange(NUM_SAMPLES) % 3 == 0, (given + 1) % NUM_CLASSES, given)
    clean[5] = -1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "signals.parquet")
        tracker = SignalTracker()
        fit = Fit([tracker, MemorizationMeter(clean), SignalWriter(str(file))], loader, {})
        table = pq.read_table(file)
    assert table.num_rows == NUM_SAMPLES
    assert table["given"].to_pylist() == given.tolist()
    assert table["aum"].to_pylist() == tracker.scores()["aum"].tolist()
    wrong = memorized = 0
    for epoch, index, logits, target in fit.steps:
        for i, z, y in zip(index.tolist(), logits, target.tolist(), strict=True):
            if epoch == 2 and clean[i] >= 0 and clean[i] != y:
                wrong += 1
                memorized += int(z.argmax()) == y
    logged = float(fit.trainer.callback_metrics["memorized"])
    assert 0 < wrong < NUM_SAMPLES
    assert math.isclose(logged, memorized / wrong, rel_tol=1e-6), (logged, memorized / wrong)


def several_at_once(loader: dict[str, Any]) -> None:
    trackers = [SignalTracker(name="a"), SignalTracker(["Margin"], name="b")]
    Fit(list(trackers), loader, {})
    one, other = (tracker.scores()["aum"] for tracker in trackers)
    assert torch.equal(one, other)


def cases() -> dict[str, Callable[[], None]]:
    out: dict[str, Callable[[], None]] = {}
    for workers in (0, 2):
        some = {"num_workers": workers}
        out |= {
            f"{workers} workers": lambda s=some: equals_the_slow_loop(s),
            f"{workers} workers, drop_last": lambda s=some: equals_the_slow_loop({**s, "drop_last": True}),
            f"{workers} workers, limit_train_batches": lambda s=some: equals_the_slow_loop(s, limit_train_batches=3),
            f"{workers} workers, accumulation": lambda s=some: equals_the_slow_loop(s, accumulate_grad_batches=2),
            f"{workers} workers, fit twice": lambda s=some: equals_the_slow_loop(s, fits=2),
            f"{workers} workers, nothing changed": lambda s=some: changes_nothing(s),
        }
    persistent = {"num_workers": 2, "persistent_workers": True}
    return out | {
        "persistent workers": lambda: equals_the_slow_loop(persistent),
        "meter and file": lambda: meters_and_writes({}),
        "several trackers": lambda: several_at_once({}),
    }


def main() -> None:
    results = {}
    for name, act in cases().items():
        try:
            act()
            results[name] = "ok"
        except Exception:  # noqa: BLE001  reported to the test, which fails on it
            results[name] = traceback.format_exc()
    namespaces = [n for n in ("pytorch_lightning", "lightning") if n in sys.modules]
    print(json.dumps({"results": results, "project": project.pl.__name__, "loaded": namespaces}))


if __name__ == "__main__":
    main()
