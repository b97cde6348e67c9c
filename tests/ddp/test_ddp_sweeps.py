"""Sweeps and meters on several processes: equal to a look by hand at all samples, each process with its share."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import Callback, LightningModule, ModelCheckpoint, Trainer, seed_everything
from noisylearn.callbacks import ExactResume, LossAttackMeter, Susceptibility, SweepTracker
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.metrics import loss_attack, susceptibility
from noisylearn.signals import (
    ConfidentLearning,
    Forgetting,
    GivenLabel,
    InputCurvature,
    LossStatistics,
    Margin,
    MixturePosterior,
    NeighborDisagreement,
    Observation,
    Score,
    Signal,
    SignalSet,
    VarianceOfGradients,
)
from tests.ddp.ranks import Ranks
from tests.ddp.test_ddp_tracking import assert_same

N, HELD_OUT, EPOCHS = 101, 50, 3
"""Two and three ranks have uneven shares of either."""
each_world = pytest.mark.parametrize("world", [2, 3])
each_project = pytest.mark.parametrize("project", ["plain", "tensor", "dataloader"])


def net() -> nn.Sequential:
    """No ReLU: features that are all zero would be at the same distance from all others."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


class Yours(LightningModule):
    """Somebody else's module: a bare loss, pairs without an index."""

    def __init__(self) -> None:
        super().__init__()
        self.network = net()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.3, momentum=0.9)


def samples() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Inputs and given labels of the training set, and some that are held out."""
    data = Digits(noise_rate=0.4, num_train=N, batch_size=N, eval_batch_size=2000)
    data.setup()
    inside, outside = next(iter(data.predict_dataloader())), next(iter(data.test_dataloader()))
    return (inside.input, inside.target), (outside.input, outside.target)


def fit(world: int, project: str, callbacks: list[Any], resume: Path | None = None, **options: Any) -> Trainer:
    """Fit a project quietly on this rank and return the Trainer."""
    seed_everything(0, verbose=False)
    module: Any
    if project == "plain":
        module = Yours()
        inside, outside = ((x, y) for x, y in samples())
        held_out = DataLoader(TensorDataset(*(part[:HELD_OUT] for part in outside)), 16)
        data = {
            "train_dataloaders": DataLoader(TensorDataset(*inside), 8, shuffle=True),
            "val_dataloaders": held_out,
        }
    else:
        module = CrossEntropy(net(), num_classes=10, in_channels=1, image_size=8, lr=0.05)
        data = {"datamodule": Digits(noise_rate=0.4, num_train=N, batch_size=8, augment=True, loader=project)}
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=EPOCHS,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(module, **data, ckpt_path=resume)
    assert trainer.world_size == world
    return trainer


class Look(Callback):  # type: ignore[misc]  # its base is made at import time
    """The network after each epoch's last step, when sweeps are made."""

    def __init__(self) -> None:
        super().__init__()
        self.networks: list[nn.Sequential] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if trainer.is_last_batch:
            self.networks.append(copy.deepcopy(pl_module.network).eval())


# -- the tracker -------------------------------------------------------------------------------------------------------


class Rows(Signal):
    """Remembers which rows this rank looked at."""

    paper = "none"
    scores = (Score("rows", "nothing", None),)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        self.seen += obs.index.tolist()
        return {}

    def compute(self, state: Any) -> Mapping[str, Tensor]:
        return {"rows": state["n_seen"].float()}


def measures() -> list[Signal]:
    """Sums, last values and values in order; of logits, features and gradients."""
    judges = [ConfidentLearning(10), MixturePosterior(), NeighborDisagreement(32, 10, k=5)]
    return [Margin(), LossStatistics(), Forgetting(), *judges, InputCurvature(2), VarianceOfGradients()]


def by_hand(networks: list[nn.Sequential]) -> dict[str, Tensor]:
    """What one look after another, at all samples at once, gives."""
    (inputs, targets), _ = samples()
    signals = SignalSet([GivenLabel(), *measures()], N)
    for epoch, network in enumerate(networks):
        with torch.no_grad():
            features = network[:-1](inputs)
            logits = network(inputs)
        extras: dict[str, Any] = {"features": features, "inputs": inputs, "network": network}
        signals.observe(Observation(torch.arange(N), logits, targets, **extras))
        signals.commit(epoch)
    return dict(signals.table.views()) | signals.compute()


def sweep(world: int, project: str) -> dict[str, Any]:
    rows, look = Rows(), Look()
    tracker = SweepTracker([*measures(), rows])
    fit(world, project, [tracker, look], limit_val_batches=0)
    assert tracker.signal_set is not None
    found = dict(tracker.signal_set.table.views()) | tracker.scores()
    del found["rows"]
    return {"found": found, "expected": by_hand(look.networks), "rows": rows.seen}


@each_world
@each_project
def test_a_sweep_is_shared_out_and_its_table_is_that_of_one_look_at_all(ranks: Ranks, world: int, project: str) -> None:
    swept = ranks.run(world, sweep, world, project)
    for rank in swept:
        assert_same(swept[0]["found"], rank["found"])
        assert_same(rank["expected"], rank["found"])
        assert rank["found"]["n_seen"].tolist() == [EPOCHS] * N
        assert N // world <= len(rank["rows"]) / EPOCHS <= N // world + 1
    assert {row for rank in swept for row in rank["rows"]} == set(range(N))


# -- the meters --------------------------------------------------------------------------------------------------------


class Figures(Look):
    """What was logged, as floats, and what is found by hand."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.logged: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            self.on_train_end(trainer, pl_module)  # what the last epoch logged is there by now

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        metrics = trainer.callback_metrics.items()
        self.logged.append({name: float(v) for name, v in metrics if name.startswith(self.prefix)})


def attack(world: int, project: str, at_most: int) -> tuple[list[dict[str, float]], list[float]]:
    figures = Figures("loss_attack")
    fit(world, project, [figures, LossAttackMeter(at_most=at_most)])
    inside, outside = samples()
    if project == "plain":
        outside = (outside[0][:HELD_OUT], outside[1][:HELD_OUT])
    if project != "dataloader":  # a sweep of the DataModule's own is read whole
        inside = tuple(part[:: -(-N // at_most)] for part in inside)  # type: ignore[assignment]
    expected = []
    for network in figures.networks:
        with torch.no_grad():
            losses = [F.cross_entropy(network(x), y, reduction="none") for x, y in (inside, outside)]
        expected.append(loss_attack(*losses).auc)
    return figures.logged, expected


@each_world
@each_project
@pytest.mark.parametrize("at_most", [1000, 40])
def test_the_loss_attack_counts_every_sample_once(ranks: Ranks, world: int, project: str, at_most: int) -> None:
    for logged, expected in ranks.run(world, attack, world, project, at_most):
        assert [figures["loss_attack_auc"] for figures in logged] == pytest.approx(expected, abs=1e-6)


class Step(Figures):
    """Steps by hand, on this rank's own batch."""

    def __init__(self, world: int) -> None:
        super().__init__("susceptibility")
        self.world, self.found = world, list[float]()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if trainer.is_last_batch:
            inputs = samples()[1][0][:HELD_OUT][trainer.global_rank :: self.world][:16]
            generator = torch.Generator().manual_seed(7 + 1_000_003 * trainer.current_epoch)
            labels = torch.randint(10, (16,), generator=generator)
            self.found.append(float(susceptibility(pl_module, trainer.optimizers[0], inputs, labels)))


def steps(world: int) -> tuple[list[dict[str, float]], list[float]]:
    step = Step(world)
    fit(world, "plain", [step, Susceptibility(seed=7)])
    return step.logged, step.found


@each_world
def test_susceptibility_is_the_mean_over_the_ranks(ranks: Ranks, world: int) -> None:
    measured = ranks.run(world, steps, world)
    now = torch.tensor([found for _, found in measured], dtype=torch.float64).mean(0)
    so_far = now.cumsum(0) / torch.arange(1, EPOCHS + 1)
    assert len(now) == EPOCHS
    for logged, _ in measured:
        assert [figures["susceptibility_now"] for figures in logged] == pytest.approx(now.tolist(), rel=1e-4)
        assert [figures["susceptibility"] for figures in logged] == pytest.approx(so_far.tolist(), rel=1e-4)


def step_on(world: int, folder: Path, name: str, resume: Path | None = None) -> list[dict[str, float]]:
    step, saver = Step(world), ModelCheckpoint(folder / name, "{epoch}", save_top_k=-1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The dirpath has changed from")
        fit(world, "plain", [step, Susceptibility(seed=7), ExactResume(), saver], resume)
    return step.logged


def test_susceptibility_goes_on_from_a_checkpoint(ranks: Ranks, tmp_path: Path) -> None:
    whole = ranks.run(2, step_on, 2, tmp_path, "whole")
    resumed = ranks.run(2, step_on, 2, tmp_path, "resumed", tmp_path / "whole" / "epoch=0.ckpt")
    for expected, found in zip(whole, resumed, strict=True):
        assert found[-1]["susceptibility"] == pytest.approx(expected[-1]["susceptibility"], rel=1e-4)
