"""Checkpoints of what is kept per sample, wherever Lightning saves them: nothing lost, nothing counted twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from noisylearn._compat import Callback, ModelCheckpoint, seed_everything
from noisylearn.callbacks import (
    EarlyMemorizationStop,
    ExactResume,
    LabelCanaries,
    LabelRefurbisher,
    LossAttackMeter,
    MemorizationMeter,
    SamplePruner,
    SignalTracker,
    Susceptibility,
    SweepTracker,
)
from noisylearn.data import Batch, IndexedDataset, TensorLoader
from noisylearn.methods import ELR, CrossEntropy
from noisylearn.signals import Observation, SignalSet
from tests.methods import harness
from tests.unit.callbacks.small import C, Module, N, dataset
from tests.unit.callbacks.small import fit as fit_small

# A run that goes on writes into a folder of its own; Lightning notes that, and that a stock loader cannot go on.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The dirpath has changed from:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
]

EPOCHS, STEPS = 4, 4
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "epoch's end": ({}, {}),
    "validation every 2 epochs": ({}, {"check_val_every_n_epoch": 2}),
    "validation every 2 epochs, saved after each": ({"save_on_train_epoch_end": True}, {"check_val_every_n_epoch": 2}),
    "after validation": ({"save_on_train_epoch_end": False}, {}),
    "validation in mid-epoch": ({}, {"val_check_interval": 0.5}),
    "every 3 steps": ({"every_n_train_steps": 3}, {}),
    "every 2 steps": ({"every_n_train_steps": 2}, {}),
}
"""Arguments of ModelCheckpoint and of the Trainer."""
each_setting = pytest.mark.parametrize("setting", SETTINGS)


def keeping(folder: Path, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "{step}", save_top_k=-1, enable_version_counter=False, **options)


def saved(folder: Path) -> dict[int, Path]:
    """Checkpoints by their step, in order; all of them can be read without running code."""
    found = {int(path.stem.removeprefix("step=")): path for path in folder.glob("*.ckpt")}
    for path in found.values():
        torch.load(path, weights_only=True)
    return dict(sorted(found.items()))


# -- everything at once, with a loader that goes on where it stopped ---------------------------------------------------


def watching() -> list[Any]:
    """Callbacks that keep what they see."""
    return [
        SignalTracker(),
        SignalTracker(["Fluctuation", "PredictionFlips"], commit_every_n_steps=3, name="often"),
        SweepTracker(["Margin", "Forgetting", "ConfidentLearning", "VarianceOfGradients"], every_n_epochs=2),
        MemorizationMeter(),
        LabelCanaries(fraction=0.1),
    ]


def acting() -> list[Any]:
    """Callbacks that decide, at an epoch's end, on what comes next."""
    held_out = [held_out_batch()]
    return [
        SamplePruner("el2n", 0.2, start_epoch=1),
        LabelRefurbisher(2, threshold=0.3),
        EarlyMemorizationStop(patience=50),
        LossAttackMeter(at_most=60, nonmembers=held_out),
        Susceptibility(batch=held_out[0]),
    ]


def held_out_batch() -> Batch:
    data = harness.digits(num_train=128)
    data.setup()
    batch: Batch = next(iter(data.test_dataloader()))
    return batch


class Logged(Callback):  # type: ignore[misc]  # its base is made at import time
    """The figures that callbacks logged for the last epoch."""

    names = (
        "canary_memorized",
        "canary_correct",
        "refurbished",
        "prediction_flips",
        "loss_attack_auc",
        "susceptibility",
    )

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        metrics = trainer.callback_metrics
        self.last = {name: float(metrics[name]) for name in self.names if name in metrics}  # some begin late


def fit(
    callbacks: Sequence[Any], saver: Any, resume: Path | None = None, backbone: Any = harness.tiny, **options: Any
) -> dict[str, Any]:
    """Fit noisy digits and return all that is to be the same after a resume; the logged figures if an epoch was run."""
    seed_everything(0, verbose=False)
    method, logged = harness.Case(ELR, {"beta": 0.7}).build(backbone=backbone), Logged()
    data = harness.digits(num_train=32 * STEPS - 3, augment=True)
    callbacks = [*callbacks, ExactResume(), logged, saver]
    harness.fit(method, data, epochs=EPOCHS, callbacks=callbacks, resume=resume, **{"limit_val_batches": 1, **options})
    states = {str(i): callback.state_dict() for i, callback in enumerate(callbacks[:-3])}
    tables = {name: table.state_dict() for name, table in method.tables.items()}
    return {"states": states, "tables": tables, "weights": method.state_dict(), "logged": logged.last}


@each_setting
def test_a_resumed_run_has_every_table_figure_and_decision_of_one_that_never_stopped(
    setting: str, tmp_path: Path
) -> None:
    save, options = SETTINGS[setting]
    whole = fit(watching() + acting(), keeping(tmp_path / "whole", **save), **options)
    checkpoints = saved(tmp_path / "whole")
    assert len(checkpoints) >= 2
    for step, path in checkpoints.items():
        found = fit(watching() + acting(), keeping(tmp_path / f"from {step}", **save), resume=path, **options)
        if not found["logged"]:  # there was no epoch left
            found["logged"] = whole["logged"]
        assert harness.differences(whole, found) == [], step


def test_the_meter_logs_an_epoch_that_was_saved_before_its_end(tmp_path: Path) -> None:
    meters, metrics = (MemorizationMeter(), MemorizationMeter()), []
    for meter, step in zip(meters, (None, EPOCHS * STEPS), strict=True):
        saver = keeping(tmp_path / str(step), save_on_train_epoch_end=False)
        method, data = harness.Case(CrossEntropy).build(), harness.digits(num_train=32 * STEPS - 3)
        resume = saved(tmp_path / "None")[step] if step else None
        fitted = harness.fit(method, data, epochs=EPOCHS, callbacks=[meter, saver], resume=resume, limit_val_batches=1)
        metrics.append(float(fitted.trainer.callback_metrics["memorized"]))
    assert metrics[0] == metrics[1]


def test_meters_look_at_held_out_samples_before_the_first_validation(tmp_path: Path) -> None:
    meters = [LossAttackMeter(), Susceptibility()]
    trainer = fit_small([*meters, keeping(tmp_path)], module=Plain(), check_val_every_n_epoch=2)
    assert {"loss_attack_auc", "susceptibility"} <= trainer.callback_metrics.keys()


# -- a run that ends in an error ---------------------------------------------------------------------------------------


class Fails(Callback):  # type: ignore[misc]  # its base is made at import time
    """Raises when so many steps were made, at the beginning of a step or at its end."""

    def __init__(self, step: int, at: str) -> None:
        super().__init__()
        self.step, self.at = step, at

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        self.fail(trainer, "start")

    def on_before_backward(self, trainer: Any, *args: Any) -> None:
        self.fail(trainer, "middle")

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.fail(trainer, "end")

    def fail(self, trainer: Any, at: str) -> None:
        if at == self.at and trainer.global_step == self.step:
            raise RuntimeError("on purpose")


@pytest.mark.parametrize(("at", "step"), [("start", 2), ("middle", 5), ("start", 7), ("middle", 8), ("end", 6)])
def test_saved_on_an_error_the_step_that_failed_is_made_again(at: str, step: int, tmp_path: Path) -> None:
    """In an epoch's first step, its second, its last: the loader had given the batch out already.

    What a step has done before it fails is not taken back: the network here draws no numbers and keeps no statistics,
    and ELR's table, where a batch may have been staged twice, is left out.
    """

    def run(folder: str, *more: Any, resume: Path | None = None) -> dict[str, Any]:
        saver = keeping(tmp_path / folder, save_on_exception=True, every_n_epochs=EPOCHS)
        found = fit([*watching(), *acting(), *more], saver, resume, harness.plain)
        del found["tables"]
        return found

    whole = run("whole")
    with pytest.raises(RuntimeError, match="on purpose"):
        run("failed", Fails(step, at))
    (path,) = saved(tmp_path / "failed").values()
    assert harness.differences(whole, run("resumed", resume=path)) == []


@pytest.mark.parametrize("watcher", [SignalTracker, ExactResume])
def test_a_tensor_loader_without_a_data_module_makes_the_failed_step_again(watcher: Any, tmp_path: Path) -> None:
    class Sees(Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[int] = []

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.global_step == fails_at:
                raise RuntimeError("on purpose")
            self.rows += batch.index.tolist()
            return super().training_step((batch.input.flatten(1), batch.target), batch_idx)

    def run(resume: Path | None = None) -> list[int]:
        train = TensorLoader(torch.rand(N, 1, 1, 1), torch.arange(N) % C, batch_size=4, shuffle=True)
        saver = keeping(tmp_path / str(fails_at), save_on_exception=True, every_n_epochs=3)
        fit_small([watcher(), saver], train, module, epochs=3, limit_val_batches=0, resume=resume)
        return module.rows

    fails_at, module = 4, Sees()
    with pytest.raises(RuntimeError, match="on purpose"):
        run()
    fails_at = -1
    (path,) = saved(tmp_path / "4").values()
    assert torch.tensor(run(path)).bincount().tolist() == [3] * N


def test_half_a_sweep_is_none(tmp_path: Path) -> None:
    """Stopped in the second epoch's sweep, whose rows so far must not be in the third's."""

    class Stumbles(Module):
        sweeps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.sweeps += int(x[0]) == 0
            if self.sweeps == 2 and int(x[0]) >= 8:
                raise RuntimeError("on purpose")
            logits: Tensor = self.net(x / N)
            return logits

    def sweeping(folder: str, sweeps: int, resume: Path | None = None) -> SweepTracker:
        tracker, module = SweepTracker("Margin"), Stumbles()
        module.sweeps = sweeps
        saver = keeping(tmp_path / folder, save_on_exception=True, every_n_epochs=3)
        fit_small([tracker, saver], module=module, epochs=3, limit_val_batches=0, resume=resume)
        return tracker

    with pytest.raises(RuntimeError, match="on purpose"):
        sweeping("failed", 0)
    tracker = sweeping("again", 2, *saved(tmp_path / "failed").values())
    assert tracker.signal_set is not None
    state = tracker.signal_set.table.views()
    assert state["n_seen"].tolist() == [2] * N  # the first epoch's and the last one's
    assert state["last_epoch"].tolist() == [2] * N


# -- a stock loader, which starts the epoch anew in another order ------------------------------------------------------

Step = tuple[int, Tensor, Tensor, Tensor]
"""The epoch, and what the step showed: rows, logits, labels."""


class Shows(Module):
    """Writes down every step; a sample's one feature is its number."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, C)))
        self.steps: list[Step] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch[0], batch[1]
        logits = self.net(x / N)
        self.steps.append((self.current_epoch, x[:, 0].long(), logits.detach().clone(), y))
        return nn.functional.cross_entropy(logits, y)


SIGNALS = ["Margin", "DataMaps", "EL2N", "LossStatistics", "Forgetting", "MeanProbability"]


def by_hand(steps: Sequence[Step], num_samples: int = N, num_classes: int = C) -> dict[str, Tensor]:
    """One look at a sample an epoch, the first."""
    signals: SignalSet = SignalTracker(SIGNALS).build_signals(num_samples, num_classes)
    for epoch in sorted({step[0] for step in steps}):
        seen = torch.zeros(num_samples, dtype=torch.bool)
        for _, rows, logits, labels in (step for step in steps if step[0] == epoch):
            new = ~seen[rows]
            if new.any():
                signals.observe(Observation(rows[new], logits[new], labels[new]))
            seen[rows] = True
        signals.commit(epoch)
    return dict(signals.table.views()) | signals.compute()


SMALL_STEPS = 4
SMALL_SETTINGS = SETTINGS | {"validation in mid-epoch": ({}, {"val_check_interval": 0.75})}


@pytest.mark.parametrize("setting", SMALL_SETTINGS)
def test_with_a_stock_loader_no_committed_epoch_is_lost_and_no_sample_counted_twice(
    setting: str, tmp_path: Path
) -> None:
    save, options = SMALL_SETTINGS[setting]
    in_a_step = "every_n_train_steps" in save

    def run(name: str, resume: Path | None = None) -> tuple[list[Step], dict[str, Tensor], list[str]]:
        tracker, module = SignalTracker(SIGNALS), Shows()
        train = DataLoader(dataset(), 3, shuffle=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            other = SignalTracker("Margin", name="other")  # has lost the same rows, and does not say so again
            fit_small([tracker, other, keeping(tmp_path / name, **save)], train, module, EPOCHS, resume, **options)
        assert tracker.signal_set is not None
        found = dict(tracker.signal_set.table.views()) | tracker.scores()
        return module.steps, found, [str(w.message) for w in caught if "rows" in str(w.message)]

    first, _, _ = run("whole")
    assert len(first) == EPOCHS * SMALL_STEPS
    for step, path in saved(tmp_path / "whole").items():
        steps, found, said = run(f"from {step}", path)
        epoch, position = divmod(step, SMALL_STEPS)
        kept = first[: epoch * SMALL_STEPS if in_a_step else step]
        for name, value in by_hand([*kept, *steps]).items():
            torch.testing.assert_close(value, found[name], rtol=1e-5, atol=1e-5, equal_nan=True, msg=name)
        assert found["n_seen"].min() >= EPOCHS - bool(position)
        assert found["n_seen"].max() <= EPOCHS
        assert len(said) == (in_a_step and position > 0)
        if said:
            assert f"the {3 * position} rows seen in the unfinished epoch are discarded" in said[0]


class GoesOn(DataLoader[Batch]):
    """A loader with a position, as torchdata's: the batches carry the index."""

    def __init__(self) -> None:
        super().__init__(IndexedDataset(dataset()), 3)
        self.epoch = self.position = 0

    def __iter__(self) -> Iterator[Any]:
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0
        order = torch.randperm(N, generator=torch.Generator().manual_seed(self.epoch)).split(3)
        for part in order[self.position :]:
            self.position += 1
            yield self.collate_fn([self.dataset[int(i)] for i in part])

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


def test_with_a_loader_that_goes_on_an_unfinished_epoch_is_exact(tmp_path: Path) -> None:
    trackers = []
    for step in (None, 2, 3, 5, 9):
        tracker = SignalTracker()
        folder = tmp_path / str(step)
        resume = None if step is None else saved(tmp_path / "None")[step]
        saver = keeping(folder, every_n_train_steps=1)
        fit_small([tracker, saver], GoesOn(), Shows(), 3, resume, limit_val_batches=0)
        trackers.append(tracker.state_dict())
        assert harness.differences(trackers[0], trackers[-1]) == []


# -- other trackers than the checkpoint's ------------------------------------------------------------------------------


def told(callbacks: list[Any], path: Path, epochs: int, **save: Any) -> list[str]:
    """What is said when a run goes on with these callbacks."""
    saver = keeping(path.parent.with_name("again"), **save)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_small([*callbacks, saver], module=Plain(), epochs=epochs, resume=path)
    return [str(w.message) for w in caught if "checkpoint" in str(w.message) and "callbacks" in str(w.message)]


class Plain(Module):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x / N)
        return logits


def trackers() -> list[Any]:
    """Some have something in a checkpoint of two epochs, others not yet."""
    return [
        SignalTracker(),
        SweepTracker("Margin"),
        SignalTracker(name="late", epoch_range=(2, 9)),
        SweepTracker("Margin", every_n_epochs=3, name="seldom"),
        SweepTracker("Margin", every_n_epochs=None, name="once"),
    ]


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trackers") / "whole"
    fit_small([*trackers(), keeping(folder)], module=Plain(), epochs=2)
    return saved(folder)[6]


def test_the_same_trackers_are_told_nothing(two_epochs: Path) -> None:
    assert told(trackers(), two_epochs, 4) == []


@pytest.mark.parametrize(
    "added",
    [
        lambda: SignalTracker("Margin", name="added"),
        lambda: SweepTracker("Margin", name="added"),
        lambda: LabelCanaries(C),
        lambda: EarlyMemorizationStop(),
    ],
)
def test_a_tracker_that_is_new_on_resume_is_told_of_once(added: Callable[[], Any], two_epochs: Path) -> None:
    tracker = added()
    (said,) = told([*trackers(), tracker], two_epochs, 4)
    assert said.startswith(f"{tracker.state_key} is not in the checkpoint: what it measures begins in mid-run, with ")
    assert "with epoch 2. Resume with the callbacks of the checkpoint" in said
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [2] * N


def test_what_a_new_tracker_has_missed_nothing_of_needs_no_word(two_epochs: Path) -> None:
    new = [SignalTracker(name="new", epoch_range=(2, 9)), SweepTracker("Margin", every_n_epochs=3, name="new")]
    assert told([*trackers(), *new, SweepTracker("Margin", every_n_epochs=None, name="new once")], two_epochs, 4) == []


def test_a_tracker_that_was_removed_is_told_of_once(two_epochs: Path) -> None:
    (said,) = told(trackers()[1:], two_epochs, 4)
    assert "Please add the following callbacks" in said
    assert "SignalTracker{'name': 'signals'}" in said


def test_a_tracker_that_is_renamed_is_told_of_by_both_names(two_epochs: Path) -> None:
    said = told([SignalTracker(name="other"), *trackers()[1:]], two_epochs, 4)
    assert len(said) == 2


def test_a_tracker_that_is_new_in_the_middle_of_the_first_epoch(tmp_path: Path) -> None:
    fit_small([keeping(tmp_path / "whole", every_n_train_steps=2)], module=Plain(), epochs=1, limit_val_batches=0)
    (said,) = told([SignalTracker()], saved(tmp_path / "whole")[2], 2, every_n_train_steps=2)
    assert "begins in mid-run, with epoch 0" in said
