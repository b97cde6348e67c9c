"""Checkpoints of several processes: what is kept per sample is whole after a resume, a kill too."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader

from noisylearn._compat import Callback, seed_everything
from noisylearn.callbacks import SignalTracker, SweepTracker
from tests.ddp.ranks import Ranks
from tests.ddp.test_ddp_tracking import EPOCHS, N, Plain, Step, Witness, assert_same, pairs
from tests.methods import harness
from tests.unit.callbacks.small import fit as fit_plain
from tests.unit.callbacks.test_checkpoints import SETTINGS, SIGNALS, acting, by_hand, fit, keeping, saved, watching

# A run that goes on writes into a folder of its own; Lightning notes that, and that a stock loader cannot go on.
NOTES = "The dirpath has changed from", "You're resuming from a checkpoint that ended before the epoch"


@contextmanager
def listening() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def ddp(world: int) -> dict[str, Any]:
    return {"devices": world, "strategy": "ddp"}


# -- no collective where the state is read -----------------------------------------------------------------------------

COLLECTIVES = [
    *("all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all", "all_to_all_single"),
    *("barrier", "broadcast", "broadcast_object_list", "gather", "gather_object", "monitored_barrier", "reduce"),
    *("reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send", "recv", "isend", "irecv"),
]


class ReadsAlone(Callback):  # type: ignore[misc]  # its base is made at import time
    """Reads every state on rank 0 alone, in steps, between them and at an epoch's end, where collectives fail."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def look(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_rank:
            return
        with pytest.MonkeyPatch.context() as patched:
            for name in COLLECTIVES:
                patched.setattr(distributed, name, self.refuse)
                patched.setattr(distributed.distributed_c10d, name, self.refuse)
            for owner in (*trainer.callbacks, *pl_module.tables.values(), trainer.datamodule):
                self.read += bool(owner.state_dict())

    def refuse(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("a collective runs where the state is read")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.look(trainer, pl_module)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.look(trainer, pl_module)


def read_alone(folder: Path) -> int:
    reads = ReadsAlone()
    fit([*watching(), *acting(), reads], keeping(folder), **ddp(2))
    return reads.read


def test_no_collective_runs_where_the_state_is_read(ranks: Ranks, tmp_path: Path) -> None:
    """A rank that saves on an error is alone: it would wait for the others for good."""
    read, _ = ranks.run(2, read_alone, tmp_path)
    assert read > 100


# -- our loader, everything at once ------------------------------------------------------------------------------------


def fit_and_save(folder: str, setting: str, resume: Path | None) -> dict[str, Any]:
    save, options = SETTINGS[setting]
    with warnings.catch_warnings():
        for note in NOTES:
            warnings.filterwarnings("ignore", note)
        return fit(watching() + acting(), keeping(Path(folder), **save), resume, **options, **ddp(2))


@pytest.mark.parametrize(
    "setting", ["epoch's end", "validation every 2 epochs", "after validation", "validation in mid-epoch"]
)
def test_every_rank_goes_on_as_if_it_had_never_stopped(ranks: Ranks, setting: str, tmp_path: Path) -> None:
    """Also in mid-epoch, where a validation has had the rows of all ranks committed."""
    whole = ranks.run(2, fit_and_save, str(tmp_path / "whole"), setting, None)
    first, *_ = saved(tmp_path / "whole").values()
    resumed = ranks.run(2, fit_and_save, str(tmp_path / "resumed"), setting, first)
    for expected, found in zip(whole, resumed, strict=True):
        assert harness.differences(expected, found) == []


# -- a stock loader ----------------------------------------------------------------------------------------------------


class Sees(Witness):
    """Writes steps down by the number of their epoch: an epoch that is gone on with is not begun."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Nothing begins here."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.epochs += [[] for _ in range(trainer.current_epoch + 1 - len(self.epochs))]
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def fit_pairs(
    world: int, folder: Path, resume: Path | None = None, more: tuple[Any, ...] = (), **save: Any
) -> tuple[list[list[Step]], dict[str, dict[str, Any]], list[str]]:
    """Fit somebody else's project on this rank; what its steps showed, what trackers know, what was said of them."""
    seed_everything(0, verbose=False)
    tracker, sweep, witness = SignalTracker(SIGNALS), SweepTracker("Margin"), Sees()
    train = DataLoader(pairs()[0], batch_size=8, shuffle=True)
    with listening() as caught:
        callbacks = [tracker, witness, sweep, *more, keeping(folder, **save)]
        fit_plain(callbacks, train, Plain(False), EPOCHS, resume, limit_val_batches=0, **ddp(world))
    known = {}
    for name, kept in (("online", tracker), ("sweep", sweep)):
        assert kept.signal_set is not None
        known[name] = dict(kept.signal_set.table.views()) | kept.scores()
    said = [str(w.message) for w in caught]
    return witness.epochs, known, [text for text in said if "rows" in text or "what it measures" in text]


def one_look_an_epoch(seen: list[list[list[Step]]]) -> dict[str, Tensor]:
    """By rank and epoch, the steps; of a sample that several ranks saw, what the lowest did counts."""
    steps = [
        (epoch, torch.tensor(rows), logits, labels)
        for epoch, parts in enumerate(zip(*seen, strict=True))
        for rows, logits, labels in (step for steps in parts for step in steps)
    ]
    return by_hand(steps, N, 4)


def save_in_mid_epoch(world: int, folder: Path, resume: Path | None = None) -> Any:
    return fit_pairs(world, folder, resume, every_n_train_steps=STEPS[world] + 2)


STEPS = {2: 7, 3: 5}
"""Of an epoch, in batches of 8 on each of two or three ranks."""


@pytest.mark.parametrize("world", [2, 3])
def test_an_unfinished_epoch_is_discarded_with_one_warning(ranks: Ranks, world: int, tmp_path: Path) -> None:
    """Two steps into the second epoch, which then starts anew: what rank 0 had staged is no use either."""
    whole = ranks.run(world, save_in_mid_epoch, world, tmp_path / "whole")
    assert [len(steps) for steps in whole[0][0]] == [STEPS[world]] * EPOCHS
    path = saved(tmp_path / "whole")[STEPS[world] + 2]
    resumed = ranks.run(world, save_in_mid_epoch, world, tmp_path / "resumed", path)
    expected = one_look_an_epoch([[*first[0][:1], *again[0][1:]] for first, again in zip(whole, resumed, strict=True)])
    assert expected["n_seen"].tolist() != [EPOCHS] * N  # Lightning makes only the rest of the steps
    for _, known, _ in resumed:
        assert_same(known["online"], expected)
        assert known["sweep"]["n_seen"].tolist() == [EPOCHS] * N
    (said,) = [text for _, _, texts in resumed for text in texts]
    assert "the 16 rows seen in the unfinished epoch are discarded" in said


# -- a kill ------------------------------------------------------------------------------------------------------------


class Dies(Callback):  # type: ignore[misc]  # its base is made at import time
    """Kills its process in the middle of the last epoch; what the epochs before have shown is in files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        (witness,) = (callback for callback in trainer.callbacks if isinstance(callback, Witness))
        torch.save(witness.epochs, self.folder / f"seen-{trainer.global_rank}.pt")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == EPOCHS - 1 and batch_idx == 2 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def fit_until_killed(folder: Path) -> None:
    fit_pairs(2, folder / "killed", more=(Dies(folder),), save_on_exception=True)


def go_on(world: int, folder: Path, path: Path) -> Any:
    return fit_pairs(world, folder / "resumed", path, more=(SignalTracker(name="new"),))


def test_a_killed_run_goes_on_from_its_last_epoch_on_three_processes_too(ranks: Ranks, tmp_path: Path) -> None:
    with Ranks() as pool, pytest.raises(AssertionError, match="of 2"):
        pool.run(2, fit_until_killed, tmp_path)
    path = list(saved(tmp_path / "killed").values())[EPOCHS - 2]
    resumed = ranks.run(3, go_on, 3, tmp_path, path)
    before = [*(torch.load(tmp_path / f"seen-{rank}.pt") for rank in range(2)), [[] for _ in range(EPOCHS - 1)]]
    expected = one_look_an_epoch([[*seen, *again[0][-1:]] for seen, again in zip(before, resumed, strict=True)])
    assert expected["n_seen"].tolist() == [EPOCHS] * N
    for _, known, _ in resumed:
        assert_same(known["online"], expected)
        assert known["sweep"]["n_seen"].tolist() == [EPOCHS] * N
    (said,) = [text for _, _, texts in resumed for text in texts]
    assert said.startswith("SignalTracker{'name': 'new'} is not in the checkpoint: what it measures begins in mid-run")
