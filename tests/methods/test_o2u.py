"""O2U-Net against a loop of its three stages, its rates, what its checkpoints keep, and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from noisylearn.data import Digits
from noisylearn.methods import O2U
from tests.methods.harness import Case, digits, plain, run, savers
from tests.methods.planned import Served, Watch

FIRST, CYCLIC, THIRD, LR = 4, 3, 4, 0.05
SETTING: dict[str, Any] = {"first_epochs": FIRST, "cyclic_epochs": CYCLIC, "period": 2, "lr": LR, "noise_rate": 0.4}
NETWORK: dict[str, Any] = {"backbone": "digits_cnn", "num_classes": 10, "in_channels": 1, "image_size": 8}
RATES = [1, 0.5, 0.1, 0.1, 0.55, 0.1, 0.55, 1, 0.5, 0.1, 0.1]


def test_a_fit_is_the_three_stages_of_the_paper() -> None:
    watch, served, data = Watch(), Served(), digits(num_train=250)
    args: dict[str, Any] = {"precision": "64-true", "callbacks": [watch, served]}
    fitted = run(Case(O2U, SETTING), data, {"backbone": plain}, epochs=FIRST + CYCLIC + THIRD, **args)
    network = plain().double()
    network.load_state_dict(watch.first)

    def stage(epochs: range) -> np.ndarray[Any, Any]:
        """Train by an optimizer of its own, and add up the losses less each epoch's mean."""
        sgd = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
        moving = np.zeros(250)
        for epoch in epochs:
            sgd.param_groups[0]["lr"] = LR * RATES[epoch]
            shown = np.zeros(250)
            for x, y, rows in watch.batches[epoch]:
                losses = F.cross_entropy(network(x), y, reduction="none")
                shown[rows.numpy()] = losses.detach().numpy()
                sgd.zero_grad()
                losses.mean().backward()
                sgd.step()
            moving += shown - shown.mean()
        return moving

    stage(range(FIRST))
    after_first = {name: value.clone() for name, value in network.state_dict().items()}
    moving = stage(range(FIRST, FIRST + CYCLIC))
    kept = np.argsort(moving)[: int((1 - 0.4) * 250)]
    network.load_state_dict(after_first)
    stage(range(FIRST + CYCLIC, FIRST + CYCLIC + THIRD))
    for epoch in range(FIRST + CYCLIC, FIRST + CYCLIC + THIRD):
        assert sorted(served.rows[epoch]) == sorted(kept.tolist())
    for ours, hand in zip(fitted.method.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, hand, rtol=1e-5, atol=1e-6)
    rates = dict(zip(fitted.rates.epochs, fitted.rates.rates.values(), strict=True))
    assert list(rates.values()) == pytest.approx([LR * rate for rate in RATES])


def test_a_sample_that_was_missed_does_not_look_right_for_it() -> None:
    class Missing(Digits):
        """Some rows come in one epoch of the second stage only."""

        def train_dataloader(self) -> Any:
            loader = super().train_dataloader()
            if self.trainer is not None and self.trainer.current_epoch == 1:
                loader._rows = loader._rows[20:]
                loader._count_batches(False)
            return loader

    data = Missing(noise_rate=0.4, num_train=256, batch_size=32)
    setting = {**SETTING, "first_epochs": 0, "cyclic_epochs": 2}
    method = run(Case(O2U, setting), data, {"backbone": plain}, epochs=3).method
    rows = method.tables["chosen"].views()
    assert rows["n_seen"].tolist() == [1] * 20 + [2] * 236
    mean = rows["loss"] / rows["n_seen"]
    assert int((rows["weight"] > 0).sum()) == int(0.6 * 256)
    assert float(mean[rows["weight"] > 0].max()) <= float(mean[rows["weight"] == 0].min())


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_where_nothing_or_everything_is_to_be_left_out_all_samples_stay(rate: float) -> None:
    served = Served()
    setting = {**SETTING, "first_epochs": 1, "cyclic_epochs": 1, "forget_rate": rate}
    run(Case(O2U, setting), method={"backbone": plain}, epochs=3, callbacks=[served])
    assert sorted(served.rows[2]) == list(range(256))


def test_rows_of_a_validation_split_are_not_counted() -> None:
    data = digits(val_fraction=0.25)
    setting = {**SETTING, "first_epochs": 1, "cyclic_epochs": 1}
    method = run(Case(O2U, setting), data, {"backbone": plain}, epochs=3).method
    kept = method.tables["chosen"].views()["weight"] > 0
    assert int(kept.sum()) == int((1 - 0.4) * len(data.train_rows))
    assert not kept[data.val_rows].any()


def test_the_weights_of_the_first_stage_are_in_the_checkpoint_while_they_are_needed(tmp_path: Path) -> None:
    setting = {**SETTING, "first_epochs": 1, "cyclic_epochs": 1}
    run(Case(O2U, setting), method={"backbone": plain}, epochs=3, callbacks=savers(tmp_path, 5))
    there = ["noisylearn_kept_weights" in torch.load(tmp_path / f"epoch-{n}.ckpt", weights_only=True) for n in range(3)]
    assert there == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_rate": None}, "`noise_rate` is needed to know how much to leave out"),
        ({"noise_rate": 40}, r"`noise_rate` must be in \[0, 1\], got 40"),
        ({"forget_rate": -0.1}, r"`forget_rate` must be in \[0, 1\], got -0.1"),
        ({"first_epochs": -1}, "`first_epochs` must be finite and at least 0, got -1"),
        ({"cyclic_epochs": 0}, "`cyclic_epochs` must be at least 1, got 0"),
        ({"period": 0}, "`period` must be at least 1, got 0"),
        ({"lr_factor": 2.0}, r"`lr_factor` must be in \[0, 1\], got 2.0: the lowest rate"),
        ({"scheduler": "CosineAnnealingLR"}, "`scheduler` must be left out with O2U, got 'CosineAnnealingLR'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        O2U(**{"noise_rate": 0.4, **arguments}, **NETWORK)
