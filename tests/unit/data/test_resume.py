"""The DataModule in a Lightning run: end to end, and resumed in mid-epoch and at an epoch's end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from noisylearn._compat import LightningModule, ModelCheckpoint, Trainer
from noisylearn.data import Batch, Digits

# The resumed runs here save no checkpoints of their own.
pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")


class Linear(LightningModule):
    """A linear classifier that remembers the order in which it saw the samples."""

    def __init__(self, one_cycle: bool = False) -> None:
        super().__init__()
        self.net = torch.nn.Linear(64, 10)
        self.one_cycle = one_cycle
        self.seen: list[list[int]] = []
        self.accuracy: dict[int, list[float]] = {}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return torch.nn.functional.cross_entropy(self.net(batch.input.flatten(1)), batch.target)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        right = self.net(batch.input.flatten(1)).argmax(dim=1) == batch.target
        self.accuracy.setdefault(dataloader_idx, []).append(right.float().mean().item())

    test_step = validation_step

    def predict_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        assert isinstance(batch.index, torch.Tensor)
        return batch.index

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        if not self.one_cycle:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)  # makes Lightning ask for the loader early
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def trainer(**options: Any) -> Trainer:
    defaults: dict[str, Any] = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "logger": False}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    if not any(isinstance(c, ModelCheckpoint) for c in options.get("callbacks", [])):
        quiet["enable_checkpointing"] = False
    return Trainer(**{**defaults, **quiet, **options})


def fit(one_cycle: bool = False, ckpt_path: Path | None = None, **options: Any) -> Linear:
    torch.manual_seed(0)
    module = Linear(one_cycle)
    data = Digits(noise_rate=0.4, batch_size=300, seed=3, augment=True)
    trainer(max_epochs=3, **options).fit(module, data, ckpt_path=ckpt_path)
    return module


@pytest.mark.parametrize("loader", ["tensor", "dataloader"])
def test_digits_end_to_end(loader: str) -> None:
    torch.manual_seed(0)
    module, data = Linear(), Digits(noise_rate=0.2, batch_size=64, val_fraction=0.1, loader=loader)
    runner = trainer(max_epochs=2)
    runner.fit(module, data)
    assert len(module.seen) == 2 * 21
    for epoch in (module.seen[:21], module.seen[21:]):
        assert sorted(row for rows in epoch for row in rows) == data.train_rows.tolist()
    assert module.seen[:21] != module.seen[21:]
    assert list(module.accuracy) == [0, 1]  # val, test
    assert module.accuracy[1][-1] > 0.8
    module.accuracy.clear()
    runner.test(module, data, verbose=False)
    assert list(module.accuracy) == [0]
    predicted = runner.predict(module, data)
    assert predicted is not None
    assert torch.cat(predicted).tolist() == data.train_rows.tolist()


@pytest.mark.parametrize("loader", ["tensor", "dataloader"])
def test_two_views_reach_the_training_step_and_one_the_others(loader: str) -> None:
    class TwoViews(Linear):
        views = ("weak", "strong")

        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            weak, strong = batch.input
            assert not torch.equal(weak, strong)
            return super().training_step(batch._replace(input=(weak + strong) / 2), batch_idx)

    module = TwoViews()
    trainer().fit(module, Digits(batch_size=64, loader=loader, augment=True))
    assert module.accuracy[0][-1] > 0.5


@pytest.mark.parametrize("one_cycle", [False, True])
@pytest.mark.parametrize(
    ("save", "options"),
    [
        ({"every_n_train_steps": 2}, {}),
        ({"every_n_epochs": 1, "save_on_train_epoch_end": True}, {}),
        ({"every_n_epochs": 1, "save_on_train_epoch_end": False}, {}),
        ({"every_n_train_steps": 2}, {"limit_train_batches": 3}),
    ],
    ids=["mid-epoch", "epoch end", "validation end", "limited epoch"],
)
def test_resume_equals_uninterrupted(
    tmp_path: Path, save: dict[str, Any], options: dict[str, Any], one_cycle: bool
) -> None:
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{step}", save_top_k=-1, **save)
    whole = fit(one_cycle, callbacks=[keep], **options)
    checkpoints = {int(path.stem.removeprefix("step=")): path for path in tmp_path.iterdir()}
    assert len(checkpoints) >= 3
    for step, path in sorted(checkpoints.items())[:-1]:
        resumed = fit(one_cycle, ckpt_path=path, **options)
        assert resumed.seen == whole.seen[step:]
        assert torch.equal(resumed.net.weight, whole.net.weight)


def checkpoint_in_mid_epoch(folder: Path) -> Path:
    keep = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2)
    fit(callbacks=[keep], max_steps=2)
    return Path(keep.best_model_path)


def test_the_state_is_plain(tmp_path: Path) -> None:
    state = torch.load(checkpoint_in_mid_epoch(tmp_path), weights_only=True)["Digits"]
    assert state["train_loader"] == {"epoch": 0, "position": 2, "num_batches": 5}
    assert len(state["noise_sha1"]) == 40


def test_other_labels_cannot_be_resumed(tmp_path: Path) -> None:
    path = checkpoint_in_mid_epoch(tmp_path)
    with pytest.raises(ValueError, match=r"`noise` must be the checkpoint's to resume: its labels have SHA-1 \w{40}"):
        trainer().fit(Linear(), Digits(noise_rate=0.4, noise_seed=1, batch_size=300), ckpt_path=path)


def test_evaluating_a_checkpoint_does_not_move_the_next_training(tmp_path: Path) -> None:
    path = checkpoint_in_mid_epoch(tmp_path)
    module, data = Linear(), Digits(noise_rate=0.4, batch_size=300, seed=3, augment=True)
    trainer().test(module, data, ckpt_path=path, verbose=False)
    trainer(max_epochs=1).fit(module, data)
    assert [len(rows) for rows in module.seen] == [300] * 4 + [237]


def test_the_same_data_is_fitted_twice_from_the_start() -> None:
    data, orders = Digits(batch_size=300), []
    for _ in range(2):
        module = Linear()
        trainer(max_epochs=1).fit(module, data)
        orders.append(module.seen)
    assert orders[0] == orders[1]


def test_overfit_batches_repeats_the_same_batches() -> None:
    module = Linear()
    with pytest.warns(UserWarning, match="requested to overfit"):
        trainer(overfit_batches=2, max_epochs=2, limit_val_batches=0).fit(module, Digits(batch_size=300))
    assert module.seen[:2] == module.seen[2:]
