"""Meters that look at the network between epochs: equal to a look by hand, and training cannot tell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import Callback
from noisylearn.callbacks import LossAttackMeter, Susceptibility
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.metrics import loss_attack, susceptibility
from tests.unit.callbacks.small import C, N, X, Y, dataset, fit, loader
from tests.unit.callbacks.test_sweep_tracker import Forward, NoForward

HELD_OUT = TensorDataset(X + 0.5, (Y + 1) % C)


class Figures(Callback):  # type: ignore[misc]  # its base is made at import time
    def __init__(self) -> None:
        super().__init__()
        self.logged: list[dict[str, float]] = []
        self.expected: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if trainer.is_last_batch:
            self.expected.append(self.by_hand(trainer, pl_module))

    def by_hand(self, trainer: Any, pl_module: Any) -> dict[str, float]:
        return {}

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            self.on_train_end(trainer, pl_module)  # what the last epoch logged is there by now

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        names = ("loss_attack", "susceptibility")
        self.logged.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(names)})


class AttackByHand(Figures):
    def by_hand(self, trainer: Any, pl_module: Any) -> dict[str, float]:
        pl_module.eval()
        with torch.no_grad():
            inside, outside = (
                nn.functional.cross_entropy(pl_module(data.tensors[0]), data.tensors[1], reduction="none")
                for data in (dataset(), HELD_OUT)
            )
        pl_module.train()
        return {"loss_attack_auc": loss_attack(inside, outside).auc}


@pytest.mark.parametrize("nonmembers", [None, DataLoader(HELD_OUT, 5)])
def test_the_loss_attack_equals_one_by_hand(nonmembers: Any) -> None:
    figures, meter = AttackByHand(), LossAttackMeter(nonmembers=nonmembers)
    from pytorch_lightning import Trainer

    trainer = Trainer(
        max_epochs=3, callbacks=[figures, meter], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Forward(), loader(shuffle=True), DataLoader(HELD_OUT, 4) if nonmembers is None else loader())
    assert len(figures.expected) == 3
    for logged, expected in zip(figures.logged, figures.expected, strict=True):
        assert logged == pytest.approx(expected)  # the rates would rest on too few samples, and are not logged


def test_rates_are_logged_where_there_are_samples_enough() -> None:
    many = TensorDataset(torch.rand(1200, 1), torch.randint(0, C, (1200,)))
    meter = LossAttackMeter(nonmembers=DataLoader(many, 400))
    trainer = fit([meter], module=Forward())
    assert meter.curve is not None
    fpr, tpr = meter.curve
    assert float(fpr[0]) == 0.01
    assert float(tpr[fpr == 0.01]) == pytest.approx(float(trainer.callback_metrics["loss_attack_tpr_at_1_percent"]))
    assert 0 <= float(trainer.callback_metrics["loss_attack_tpr_at_1_percent"]) <= 1
    assert "loss_attack_tpr_at_01_percent" not in trainer.callback_metrics


def test_some_members_are_enough() -> None:
    data = Digits(num_train=200, batch_size=32, val_fraction=0.2)
    module = CrossEntropy(backbone="mlp", num_classes=10, in_channels=1, image_size=8, lr=0.1)
    meter = LossAttackMeter(at_most=50, every_n_epochs=2)
    trainer = fit([meter], module=module, datamodule=data, epochs=2)
    assert 0 < float(trainer.callback_metrics["loss_attack_auc"]) < 1


class StepByHand(Figures):
    total = 0.0

    def by_hand(self, trainer: Any, pl_module: Any) -> dict[str, float]:
        generator = torch.Generator().manual_seed(7 + 1_000_003 * trainer.current_epoch)
        inputs = X[:4]
        labels = torch.randint(C, (4,), generator=generator)
        now = float(susceptibility(pl_module, trainer.optimizers[0], inputs, labels))
        self.total += now
        return {"susceptibility": self.total / (trainer.current_epoch + 1), "susceptibility_now": now}


def test_susceptibility_is_of_the_first_held_out_batch() -> None:
    figures, meter, module = StepByHand(), Susceptibility(seed=7), Forward()
    module.net[3].p = 0.0  # both looks are in train mode
    fit([figures, meter], module=module, epochs=3)
    for logged, expected in zip(figures.logged, figures.expected, strict=True):
        assert logged == pytest.approx(expected, rel=1e-4)


def test_the_running_mean_is_in_the_checkpoint(tmp_path: Path) -> None:
    whole, first, second = (Susceptibility() for _ in range(3))
    trainer = fit([whole], module=Forward(), epochs=4)
    half = fit([first], module=Forward(), epochs=2)
    half.save_checkpoint(tmp_path / "two.ckpt")
    resumed = fit([second], module=Forward(), epochs=4, resume=tmp_path / "two.ckpt")
    assert second._count == whole._count == 4
    assert math.isfinite(float(trainer.callback_metrics["susceptibility"]))
    assert math.isfinite(float(resumed.callback_metrics["susceptibility"]))


class OneLogit(Forward):
    """A binary head; labels are floats with a second dimension, as binary cross-entropy wants them."""

    def __init__(self, squeeze: bool) -> None:
        super().__init__()
        self.net[4], self.squeeze = nn.Linear(6, 1), squeeze

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z[:, 0] if self.squeeze else z

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.binary_cross_entropy_with_logits(self(batch[0]).reshape(-1), batch[1].reshape(-1))


def binary(rows: Tensor, squeeze: bool) -> TensorDataset:
    y = (rows % 2).float()
    return TensorDataset(rows[:, None].float(), y if squeeze else y[:, None])


class OneLogitByHand(Figures):
    """With `torch.nn.functional.binary_cross_entropy_with_logits` in place of two classes."""

    def by_hand(self, trainer: Any, pl_module: Any) -> dict[str, float]:
        pl_module.eval()
        with torch.no_grad():
            inside, outside = (
                nn.functional.binary_cross_entropy_with_logits(pl_module(x).reshape(-1), y, reduction="none")
                for x, y in ((rows[:, None].float(), (rows % 2).float()) for rows in (torch.arange(N), torch.arange(5)))
            )
        pl_module.train()
        return {"loss_attack_auc": loss_attack(inside, outside).auc}


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_binary_head_of_one_logit_is_two_classes(squeeze: bool) -> None:
    figures, meter = OneLogitByHand(), LossAttackMeter(nonmembers=DataLoader(binary(torch.arange(5), squeeze), 4))
    train = loader(binary(torch.arange(N), squeeze))
    callbacks = [figures, meter, Susceptibility(batch=next(iter(train)))]
    trainer = fit(callbacks, train, OneLogit(squeeze), epochs=2, limit_val_batches=0)
    expected = [figure["loss_attack_auc"] for figure in figures.expected]
    assert [figure["loss_attack_auc"] for figure in figures.logged] == pytest.approx(expected)
    assert trainer.callback_metrics["susceptibility_now"] != 0  # of one class it would be 0


@pytest.mark.parametrize("make", [LossAttackMeter, Susceptibility])
def test_training_cannot_tell(make: Any) -> None:
    ends: list[dict[str, Tensor]] = []
    drawn = []
    for callbacks in ([], [make()]):
        torch.manual_seed(3)
        module = Forward()
        fit(callbacks, loader(shuffle=True), module, epochs=3)
        ends.append(module.state_dict())
        drawn.append(float(torch.rand(1)))
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("make", [LossAttackMeter, Susceptibility])
def test_a_module_without_forward_is_looked_through(make: Any) -> None:
    module = NoForward()
    trainer = fit([make()], module=module)
    assert any(name.startswith(("loss_attack", "susceptibility")) for name in trainer.callback_metrics)
    for part in module.modules():
        assert not part._forward_hooks, "a hook is left"


def test_held_out_samples_are_needed() -> None:
    from pytorch_lightning import Trainer

    for meter, argument in ((LossAttackMeter(), "nonmembers"), (Susceptibility(), "batch")):
        trainer = Trainer(
            max_epochs=1, callbacks=[meter], accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        )  # fmt: skip
        with pytest.raises(ValueError, match=f"`{argument}` is needed: there is no validation loader"):
            trainer.fit(Forward(), loader(), loader())
    with pytest.raises(ValueError, match="`every_n_epochs` must be at least 1, got 0"):
        Susceptibility(0)
    assert len(dataset()) == N


def test_the_loss_attack_passes_over_labels_that_mean_none() -> None:
    holes = torch.arange(N) % 3 == 1

    class Ignores(Forward):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1], ignore_index=-100)

    module = Ignores()
    held_out = TensorDataset(HELD_OUT.tensors[0], HELD_OUT.tensors[1].masked_fill(holes, -100))
    meter = LossAttackMeter(nonmembers=DataLoader(held_out, 5), ignore_index=-100)
    trainer = fit([meter], loader(dataset(Y.masked_fill(holes, -100))), module)
    module.eval()
    with torch.no_grad():
        inside, outside = (
            nn.functional.cross_entropy(module(data.tensors[0]), data.tensors[1], reduction="none")[~holes]
            for data in (dataset(), HELD_OUT)
        )
    assert float(trainer.callback_metrics["loss_attack_auc"]) == pytest.approx(loss_attack(inside, outside).auc)


def test_members_are_of_one_of_several_loaders() -> None:
    class Both(Forward):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch["one"], batch_idx)

    train, module = {"one": loader(), "other": DataLoader(HELD_OUT, 4)}, Both()
    trainer = fit([LossAttackMeter(nonmembers=DataLoader(HELD_OUT, 5), loader="other")], train, module)
    assert float(trainer.callback_metrics["loss_attack_auc"]) == 0.5  # the same samples
    with pytest.raises(ValueError, match=r"`loader` is needed to say which .*: one of \['one', 'other'\]"):
        fit([LossAttackMeter(nonmembers=DataLoader(HELD_OUT, 5))], train, module)
