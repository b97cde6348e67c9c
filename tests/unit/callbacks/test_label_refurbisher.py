"""Labels that are replaced in the batches: which, when, and what everybody else still sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from noisylearn.callbacks import LabelCanaries, LabelRefurbisher, MemorizationMeter, SignalTracker
from noisylearn.data import Digits
from noisylearn.methods import ELR
from tests.unit.callbacks.small import C, Module, fit

N = 30
TRUE = torch.arange(N) % C
X = nn.functional.one_hot(TRUE, C).float() + torch.arange(N)[:, None] / 1000
WRONG = torch.arange(N) % 10 == 4
Y = torch.where(WRONG, (TRUE + 1) % C, TRUE)


class Sees(Module):
    def __init__(self) -> None:
        super().__init__(nn.Linear(C, C))
        self.shown: list[dict[int, int]] = []

    def on_train_epoch_start(self) -> None:
        self.shown.append({})

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        self.shown[-1] |= dict(zip(((x.sum(1) - 1) * 1000 / C).round().long().tolist(), y.tolist(), strict=True))
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def train() -> Any:
    return DataLoader(TensorDataset(X, Y), 5, shuffle=True)


def test_a_sure_suggestion_is_followed_in_the_batches_alone() -> None:
    tracker, refurbisher, module = SignalTracker(), LabelRefurbisher(start_epoch=6, threshold=0.5), Sees()
    meter, before = MemorizationMeter(TRUE), Y.clone()
    trainer = fit([tracker, meter, refurbisher], train(), module, epochs=9, limit_val_batches=0)
    for epoch, shown in enumerate(module.shown):
        labels = torch.tensor([shown[i] for i in range(N)])
        if epoch < 6:
            assert torch.equal(labels, Y)
    assert torch.equal(labels, TRUE)  # the wrong labels are seen through
    assert torch.equal(Y, before)
    assert refurbisher.labels is not None
    assert torch.equal((refurbisher.labels >= 0), WRONG)
    assert float(trainer.callback_metrics["refurbished"]) == pytest.approx(float(WRONG.float().mean()))
    # Who measures, measures against the label that was given.
    assert torch.equal(tracker.scores()["given"], Y.float())
    assert float(trainer.callback_metrics["memorized"]) == 0.0
    assert tracker.scores()["aum"][WRONG].max() < tracker.scores()["aum"][~WRONG].min()


def test_nothing_is_followed_below_the_threshold() -> None:
    module = Sees()
    fit([SignalTracker(), LabelRefurbisher(1, threshold=1.0)], train(), module, epochs=3, limit_val_batches=0)
    assert all(shown == dict(enumerate(Y.tolist())) for shown in module.shown)


def test_a_method_of_ours_with_state_per_sample() -> None:
    data = Digits(num_train=200, batch_size=32, noise_rate=0.3)
    module = ELR(backbone="mlp", num_classes=10, in_channels=1, image_size=8, lr=0.1)
    tracker, refurbisher = SignalTracker(), LabelRefurbisher(start_epoch=8, threshold=0.5)
    fit([tracker, refurbisher], module=module, datamodule=data, epochs=12)
    assert torch.equal(tracker.scores()["given"], data.noisy_targets.float())
    assert refurbisher.labels is not None
    followed = refurbisher.labels >= 0
    assert int(followed.sum()) > 10
    right = refurbisher.labels[followed] == data.clean_targets[followed]
    assert float(right.float().mean()) > 0.8


def test_the_labels_in_force_are_in_the_checkpoint(tmp_path: Path) -> None:
    first = LabelRefurbisher(6, threshold=0.5)
    half = fit([SignalTracker(), first], train(), Sees(), epochs=7, limit_val_batches=0)
    half.save_checkpoint(tmp_path / "seven.ckpt")
    torch.load(tmp_path / "seven.ckpt", weights_only=True)
    second, module = LabelRefurbisher(100, threshold=0.5), Sees()
    fit([SignalTracker(), second], train(), module, 8, tmp_path / "seven.ckpt", limit_val_batches=0)
    assert module.shown[-1] == dict(enumerate(TRUE.tolist()))


def test_canaries_and_refurbished_labels_do_not_undo_each_other() -> None:
    tracker, canaries = SignalTracker(), LabelCanaries(C, 0.2, seed=3)
    refurbisher, module = LabelRefurbisher(6, threshold=0.5), Sees()
    fit([tracker, canaries, refurbisher], train(), module, epochs=8, limit_val_batches=0)
    assert torch.equal(tracker.scores()["given"], Y.float())


def test_what_is_needed() -> None:
    with pytest.raises(ValueError, match="`LabelRefurbisher` needs a tracker that suggests labels: add SignalTracker"):
        fit([SignalTracker(["Margin"]), LabelRefurbisher(1)], train(), Sees(), limit_val_batches=0)
    for make, message in (
        (lambda: LabelRefurbisher(0), "`start_epoch` must be at least 1, got 0: an epoch is needed"),
        (lambda: LabelRefurbisher(1, 0.0), "`threshold` must be above 0, got 0"),
        (lambda: LabelRefurbisher(1, 80), r"`threshold` must be in \[0, 1\], got 80"),
        (lambda: LabelRefurbisher(1, target=len), "`target` must be a key"),
    ):
        with pytest.raises(ValueError, match=message):
            make()  # type: ignore[no-untyped-call]


class Stream(IterableDataset[Any]):
    """Samples that have names, in another order each time; in later epochs with new ones among them."""

    def __init__(self, epoch: int = 0, grows: bool = False) -> None:
        self.epoch, self.grows = epoch, grows

    def __iter__(self) -> Any:
        order = torch.randperm(N, generator=torch.Generator().manual_seed(self.epoch)).tolist()
        self.epoch += 1
        for i in order:
            if self.grows and self.epoch > 8:
                yield {"index": f"new {self.epoch} {i}", "row": -1, "input": X[i], "target": Y[i]}
            yield {"index": f"sample {i}", "row": i, "input": X[i], "target": Y[i]}


class SeesNamed(Sees):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.shown[-1] |= dict(zip(batch["row"].tolist(), batch["target"].tolist(), strict=True))
        return nn.functional.cross_entropy(self.net(batch["input"]), batch["target"])


def seen_through(module: SeesNamed) -> bool:
    return [module.shown[-1][i] for i in range(N)] == TRUE.tolist()


@pytest.mark.parametrize("epoch_range", [None, (1, 99)])
def test_samples_with_names_get_their_own_labels(tmp_path: Path, epoch_range: tuple[int, int] | None) -> None:
    def callbacks() -> list[Any]:
        return [SignalTracker(epoch_range=epoch_range), LabelRefurbisher(6, threshold=0.5)]

    first, module = callbacks(), SeesNamed()
    half = fit(first, DataLoader(Stream(), 5), module, epochs=9, limit_val_batches=0)
    assert seen_through(module)
    half.save_checkpoint(tmp_path / "nine.ckpt")
    module = SeesNamed()
    fit(callbacks(), DataLoader(Stream(50), 5), module, 10, tmp_path / "nine.ckpt", limit_val_batches=0)
    assert seen_through(module)


def test_a_name_that_is_new_keeps_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisylearn.callbacks.per_sample.FIRST_KEYS", 8)  # so that the table grows too
    module = SeesNamed()
    callbacks = [SignalTracker(), LabelRefurbisher(6, threshold=0.5)]
    fit(callbacks, DataLoader(Stream(grows=True), 5), module, epochs=10, limit_val_batches=0)
    assert seen_through(module)


@pytest.mark.parametrize("column", [False, True])
def test_a_binary_head_s_labels_keep_their_shape_and_dtype(column: bool) -> None:
    true, given = (TRUE > 0).float(), torch.where(WRONG, TRUE == 0, TRUE > 0).float()

    class Binary(Sees):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(C, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            assert (y.shape, y.dtype) == ((len(x), 1) if column else (len(x),), torch.float32)
            rows = ((x.sum(1) - 1) * 1000 / C).round().long().tolist()
            self.shown[-1] |= dict(zip(rows, y.reshape(-1).tolist(), strict=True))
            return nn.functional.binary_cross_entropy_with_logits(self.net(x).reshape(y.shape), y)

    module = Binary()
    data = TensorDataset(X, given[:, None] if column else given)
    callbacks = [SignalTracker(), LabelRefurbisher(6, threshold=0.5)]
    fit(callbacks, DataLoader(data, 5, shuffle=True), module, epochs=9, limit_val_batches=0)
    assert [module.shown[-1][i] for i in range(N)] == true.tolist()


def test_nothing_is_replaced_before_there_is_a_suggestion() -> None:
    module = Sees()
    callbacks = [SignalTracker(epoch_range=(3, 9)), LabelRefurbisher(1, threshold=0.01)]
    fit(callbacks, train(), module, epochs=4, limit_val_batches=0)
    assert module.shown[3] == dict(enumerate(Y.tolist()))


def test_too_many_classes_for_a_suggestion_are_told_in_the_first_epoch() -> None:
    class Wide(Sees):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(C, 201)

    module = Wide()
    with pytest.raises(ValueError, match='suggest up to 200 classes, or with "MeanProbability" among them, for more'):
        fit([SignalTracker(), LabelRefurbisher(1)], train(), module, epochs=2, limit_val_batches=0)
    assert len(module.shown[0]) == 5  # one batch
