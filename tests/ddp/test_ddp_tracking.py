"""Whole fits on two processes: the trackers' tables are those of one process, with either kind of loader."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import Callback, LightningModule, Trainer, seed_everything
from noisylearn.callbacks import MemorizationMeter, SignalTracker
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.signals import Observation
from tests.ddp.ranks import Ranks
from tests.methods.harness import plain

EPOCHS = 3
N = 101  # odd: one of two ranks has a sample fewer
METERED = ("memorized", "correct_on_wrong", "other_on_wrong", "correct_on_right")
Step = tuple[list[int], Tensor, Tensor]


class Witness(Callback):  # type: ignore[misc]  # its base is made at import time
    """Writes down every step's rows, logits and labels, in its own way: rows are written on the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[list[Step]] = []
        self._logits = torch.empty(0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        network = pl_module.net if isinstance(pl_module, Plain) else pl_module.network
        network.register_forward_hook(lambda _module, _inputs, output: setattr(self, "_logits", output.detach()))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append([])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        rows = batch[0][:, 0] if isinstance(pl_module, Plain) else batch.index
        self.epochs[-1].append((rows.long().tolist(), self._logits.clone(), batch[1]))


class Fixed(nn.Module):
    """Logits that are numbers of the input, whatever is learned: the same in every batch and on every rank."""

    def __init__(self, first: int, classes: int) -> None:
        super().__init__()
        self.part = slice(first, first + classes)
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.part] * (self.scale + (3.0 - self.scale).detach())


class Inner(nn.Module):
    """The features after the row number that stands first."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:]


class Plain(LightningModule):
    """Somebody else's project: pairs without an index, and only the loss comes out of a step."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        learned = nn.Sequential(Inner(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        self.net = Fixed(1, 4) if fixed else learned

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.3, momentum=0.9)


def pairs() -> tuple[TensorDataset, Tensor]:
    """Inputs that begin with their row number, given labels of which some are wrong, and the true ones."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(N, 9, generator=generator)
    clean = x[:, 2:6].argmax(1)  # not what the fixed logits predict
    given = torch.where(torch.rand(N, generator=generator) < 0.3, (clean + 1) % 4, clean)
    x[:, 0] = torch.arange(N)
    return TensorDataset(x, given), clean


def fit(world: int, project: str, fixed: bool) -> dict[str, Any]:
    """Fit a project on this rank and return what its trackers know, its metrics and what the witness saw."""
    seed_everything(0, verbose=False)
    tracker, witness = SignalTracker(), Witness()
    module: Any
    data: dict[str, Any]
    if project == "plain":
        dataset, clean = pairs()
        meter = MemorizationMeter(clean)
        module = Plain(fixed)
        data = {"train_dataloaders": DataLoader(dataset, batch_size=8, shuffle=True)}
    else:
        meter = MemorizationMeter()
        network = Fixed(20, 10) if fixed else plain()
        module = CrossEntropy(network, num_classes=10, in_channels=1, image_size=8, lr=0.05)
        data = {"datamodule": Digits(noise_rate=0.4, num_train=N, batch_size=8)}
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=EPOCHS,
        callbacks=[tracker, meter, witness],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, **data)
    assert trainer.world_size == world
    assert tracker.signal_set is not None
    assert meter.signal_set is not None
    return {
        "signals": dict(tracker.signal_set.table.views()) | tracker.scores(),
        "meter": dict(meter.signal_set.table.views()),
        "metrics": {name: float(trainer.callback_metrics[name]) for name in METERED},
        "seen": witness.epochs,
    }


def one_by_one(seen: list[list[list[Step]]], rate: float) -> tuple[dict[str, Tensor], int]:
    """The signals of one process that is shown the ranks' records, and how many records were padding.

    Args:
        seen: By rank, by epoch, the steps. A row's record is that of the lowest rank that has one.
        rate: The learning rate of the fit.
    """
    signals = SignalTracker().build_signals(N, seen[0][0][0][1].shape[1])
    repeated = 0
    for epoch in range(EPOCHS):
        known: set[int] = set()
        for steps in (rank[epoch] for rank in seen):
            for rows, logits, targets in steps:
                new = torch.tensor([row not in known for row in rows])
                repeated += int((~new).sum())
                if new.any():
                    shown = (torch.tensor(rows)[new], logits[new], targets[new])
                    signals.observe(Observation(*shown, learning_rate=rate))
            known |= {row for rows, _, _ in steps for row in rows}
        signals.commit(epoch)
    return dict(signals.table.views()) | signals.compute(), repeated


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Counts and classes exactly; kernels may round a row's logarithm by where it stands in its batch."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        tolerance = 0.0 if value.dtype == torch.int16 else 1e-5
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance, equal_nan=True, msg=name)


each_project = pytest.mark.parametrize("project", ["plain", "tensor loader"])


@each_project
def test_tables_are_those_of_one_process_on_the_same_records(ranks: Ranks, project: str) -> None:
    fitted = ranks.run(2, fit, 2, project, False)
    expected, repeated = one_by_one([rank["seen"] for rank in fitted], 0.3 if project == "plain" else 0.05)
    assert repeated == EPOCHS  # the padding, which must not show
    assert expected["n_seen"].tolist() == [EPOCHS] * N
    moved = [step[1] for step in fitted[0]["seen"][0]], [step[1] for step in fitted[0]["seen"][-1]]
    assert not torch.allclose(torch.cat(moved[0]).sort(0)[0], torch.cat(moved[1]).sort(0)[0])  # it did learn
    for rank in fitted:
        assert_same(rank["signals"], expected)


@each_project
def test_tables_and_meters_are_those_of_a_fit_on_one_process(ranks: Ranks, project: str) -> None:
    (one,) = ranks.run(1, fit, 1, project, True)
    assert one["signals"]["n_seen"].tolist() == [EPOCHS] * N
    assert 0 < one["metrics"]["memorized"] < 1
    for rank in ranks.run(2, fit, 2, project, True):
        assert_same(rank["signals"], one["signals"])
        assert_same(rank["meter"], one["meter"])
        assert rank["metrics"] == pytest.approx(one["metrics"])


def fit_with_commits_in_mid_epoch(world: int) -> list[int]:
    """Rows of a plain project, padded, when every second step is committed: the padding comes in a later commit."""
    tracker = SignalTracker(commit_every_n_steps=2)
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp",
        max_epochs=EPOCHS,
        callbacks=[tracker],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Plain(fixed=False), DataLoader(pairs()[0], batch_size=8, shuffle=True))
    assert tracker.signal_set is not None
    return tracker.signal_set.table.views()["n_seen"].tolist()


def test_a_sample_counts_once_an_epoch_also_with_commits_in_mid_epoch(ranks: Ranks) -> None:
    assert ranks.run(3, fit_with_commits_in_mid_epoch, 3) == [[EPOCHS] * N] * 3
