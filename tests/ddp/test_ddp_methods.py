"""Every method on two processes: the ranks agree, the state per sample is right, and a fit can be resumed."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from noisylearn._compat import Callback, LightningDataModule, seed_everything
from noisylearn.callbacks import GracefulStop, MemorizationMeter, SignalTracker, Stopped
from noisylearn.data import Batch, IndexedDataset
from noisylearn.methods import ELR
from tests.ddp.ranks import Ranks
from tests.methods.harness import CASES, Case, Fitted, differences, digits, each_method, plain, run, savers, tiny

EPOCHS, STEPS = 3, 4  # 250 samples in batches of 32 on each of two ranks: 125 each
TWO: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
ONE: dict[str, Any] = {"devices": 1}


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def rows_of(fitted: Fitted) -> dict[str, Any]:
    """Committed rows only: what is staged differs between ranks."""
    trackers = [c for c in fitted.trainer.callbacks if isinstance(c, SignalTracker | MemorizationMeter)]
    return {
        "tables": {name: dict(table.views()) for name, table in fitted.method.tables.items()},
        "signals": [dict(t.signal_set.table.views()) for t in trackers if t.signal_set is not None],
    }


def fit_method(name: str) -> dict[str, Any]:
    """Fit with an odd number of samples and return what this rank has."""
    data = digits(num_train=251)
    callbacks = [SignalTracker(), MemorizationMeter()]
    fitted = run(case_of(name), data, {"backbone": plain}, epochs=EPOCHS, callbacks=callbacks, **TWO)
    start = run(case_of(name), data, {"backbone": plain}, epochs=0, **TWO).method.state_dict()
    state = fitted.state()
    return (
        {"start": start, "losses": fitted.rates.losses}
        | {p: state[p] for p in ("weights", "optimizer")}
        | rows_of(fitted)
    )


@each_method
def test_the_ranks_agree(ranks: Ranks, case: Case) -> None:
    one, other = ranks.run(2, fit_method, case.name)
    assert one.pop("losses") != other.pop("losses")  # they did see different samples
    assert differences(one, other) == []
    assert len(differences(one["start"], one["weights"])) == len(one["weights"])  # all parameters were trained
    assert set(one["tables"]) == set(case.tables)
    assert len(one["signals"]) == 2
    for table in one["tables"].values():
        assert table["n_seen"].tolist() == [case.seen(EPOCHS)] * 251
    for table in one["signals"]:
        assert table["n_seen"].min() >= 1 if case.planned else table["n_seen"].tolist() == [EPOCHS] * 251


# -- ELR's targets -----------------------------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Logits that are pixels of the image: nothing that is learned changes them."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, 20:30] + 0 * self.scale


def targets_of_fixed_logits(world: int) -> dict[str, Tensor]:
    trainer = TWO if world > 1 else ONE
    fitted = run(Case(ELR), digits(num_train=251), {"backbone": Fixed()}, epochs=EPOCHS, **trainer)
    return dict(fitted.method.tables["targets"].views())


def test_elr_has_the_targets_of_one_process(ranks: Ranks) -> None:
    (one,) = ranks.run(1, targets_of_fixed_logits, 1)
    assert one["n_seen"].tolist() == [EPOCHS] * 251
    torch.testing.assert_close(one["target"].sum(1), torch.full((251,), 1 - 0.7**EPOCHS))
    for rank in ranks.run(2, targets_of_fixed_logits, 2):
        assert rank["n_seen"].tolist() == one["n_seen"].tolist()
        torch.testing.assert_close(rank["target"], one["target"], rtol=1e-6, atol=1e-7)


class InOrder(LightningDataModule):
    """Unshuffled, in a stock DataLoader: a step of all ranks together has the rows of one process's step."""

    num_samples, num_classes = 240, 10

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.trainer is not None
        world, rank = self.trainer.world_size, self.trainer.global_rank
        data = digits(num_train=self.num_samples)
        data.setup()
        dataset = IndexedDataset(TensorDataset(data.train_images.double() / 255, data.noisy_targets))
        sampler = DistributedSampler(dataset, world, rank, shuffle=False)
        return DataLoader(dataset, batch_size=32 // world, sampler=sampler)

    val_dataloader = train_dataloader  # never read; without one Lightning warns


def train_elr_in_order(world: int) -> dict[str, Any]:
    trainer: dict[str, Any] = {**(TWO if world > 1 else ONE), "use_distributed_sampler": False, "precision": "64-true"}
    data: Any = InOrder()
    fitted = run(Case(ELR), data, {"backbone": plain}, epochs=EPOCHS, **trainer)
    return {"weights": fitted.method.state_dict(), "targets": dict(fitted.method.tables["targets"].views())}


def test_elr_learns_on_two_processes_what_it_learns_on_one_from_the_same_steps(ranks: Ranks) -> None:
    """A wrong target would bend the weights of every later step."""
    (one,) = ranks.run(1, train_elr_in_order, 1)
    for rank in ranks.run(2, train_elr_in_order, 2):
        torch.testing.assert_close(rank["weights"], one["weights"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(rank["targets"], one["targets"], rtol=1e-5, atol=1e-6)


# -- resume ------------------------------------------------------------------------------------------------------------


def fit_and_save(name: str, folder: Path, resume: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Fit, saving every epoch and every other step; from a checkpoint if one is named."""
    args = {"epochs": EPOCHS, "callbacks": savers(folder, 2), "resume": folder / resume if resume else None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = digits(num_train=250, augment=True)
        case = case_of(name)
        schedule = case.first_taken("OneCycleLR", "CosineAnnealingLR")
        fitted = run(case, data, {"backbone": tiny, **schedule}, **args, **TWO)
    said = [str(w.message) for w in caught if "uncommitted rows" in str(w.message)]
    return fitted.state() | rows_of(fitted), said


@each_method
def test_resume_at_an_epochs_end_equals_uninterrupted(ranks: Ranks, case: Case, tmp_path: Path) -> None:
    whole = ranks.run(2, fit_and_save, case.name, tmp_path)
    resumed = ranks.run(2, fit_and_save, case.name, tmp_path, "epoch-0.ckpt")
    for (expected, _), (state, said) in zip(whole, resumed, strict=True):
        epochs, steps = expected["steps"]
        assert epochs == EPOCHS
        assert steps == EPOCHS * STEPS or case.planned
        assert differences(expected, state) == []
        assert not said


def test_resume_in_mid_epoch_loses_what_the_other_rank_had_not_committed(ranks: Ranks, tmp_path: Path) -> None:
    """Weights and optimizer are exact; of the second rank's rows of that epoch, the steps before the stop are gone."""
    whole = ranks.run(2, fit_and_save, "CrossEntropy", tmp_path)
    resumed = ranks.run(2, fit_and_save, "CrossEntropy", tmp_path, "step-6.ckpt")
    parts = ("weights", "optimizer", "schedulers", "steps")
    for (expected, _), (state, _) in zip(whole, resumed, strict=True):
        assert differences({p: expected[p] for p in parts}, {p: state[p] for p in parts}) == []
        before, after = expected["signals"][0], state["signals"][0]
        lost = before["n_seen"] != after["n_seen"]
        assert (before["n_seen"] - after["n_seen"])[lost].tolist() == [1] * (2 * 32)
        assert (lost.nonzero()[:, 0] % 2).tolist() == [1] * (2 * 32)  # all of them were the second rank's
        kept = [{name: view[~lost] for name, view in signals.items()} for signals in (before, after)]
        assert differences(*kept) == []
    (first, second) = (said for _, said in resumed)
    assert len(first) == 1
    assert "on 2 processes: rank 0's 64 uncommitted rows are restored, about 64 of the other ranks are lost" in first[0]
    assert not second


# -- a stop that only one process was asked for ------------------------------------------------------------------------


class Ask(Callback):  # type: ignore[misc]  # its base is made at import time
    """Sends the second rank SIGTERM in a certain step."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 2 * STEPS - 1:  # the epoch's last
            os.kill(os.getpid(), signal.SIGTERM)


def fit_until_asked(folder: Path, ask: bool, resume: bool) -> Any:
    callbacks = [*savers(folder, 100), GracefulStop(str(folder)), *([Ask()] if ask else [])]
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    try:
        args = {"epochs": EPOCHS, "callbacks": callbacks, "resume": folder / "last.ckpt" if resume else None}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            fitted = run(case_of("ELR"), digits(num_train=250), {"backbone": tiny}, **args, **TWO)
    except SystemExit as stop:
        return type(stop.__context__).__name__
    finally:
        after = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert after == before
    return fitted.state() | rows_of(fitted)


def test_all_ranks_stop_and_save_where_one_is_asked_to(ranks: Ranks, tmp_path: Path) -> None:
    seed_everything(0, verbose=False)
    whole = ranks.run(2, fit_until_asked, tmp_path / "whole", False, False)
    assert ranks.run(2, fit_until_asked, tmp_path / "stopped", True, False) == [Stopped.__name__] * 2
    saved = torch.load(tmp_path / "stopped" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2 * STEPS
    assert len(saved["noisylearn_rng"]) == 2
    resumed = ranks.run(2, fit_until_asked, tmp_path / "stopped", False, True)
    for expected, state in zip(whole, resumed, strict=True):
        assert differences(expected, state) == []
