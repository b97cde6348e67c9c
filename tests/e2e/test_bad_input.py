"""What a person gets wrong is told in one clear error: the argument, the rule, what was found and the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import ModelCheckpoint, Trainer
from noisylearn.callbacks import SignalTracker
from noisylearn.data import IndexedDataset, TensorLoader
from noisylearn.methods import ELR, CrossEntropy, NoisyLearner

N, C = 32, 3
GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(N, 4, generator=GENERATOR)
Y = torch.randint(0, C, (N,), generator=GENERATOR)
INDEX = torch.arange(N)
VAL = DataLoader(TensorDataset(X, Y), batch_size=N)  # without one Lightning warns


def changed(values: Tensor, position: int, value: int) -> Tensor:
    out = values.clone()
    out[position] = value
    return out


def fit(
    x: Tensor = X, y: Tensor = Y, index: Tensor = INDEX, method: NoisyLearner | None = None, classes: int = C
) -> None:
    if method is None:
        method = ELR(backbone=nn.Linear(4, C), num_classes=classes, num_samples=N)
    trainer = Trainer(
        max_epochs=1,
        num_sanity_val_steps=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SignalTracker(index=2)],
    )
    trainer.fit(method, DataLoader(TensorDataset(x, y, index), batch_size=8), VAL)


def images(count: int = N) -> Tensor:
    return torch.zeros(count, 1, 8, 8, dtype=torch.uint8)


def serve(count: int = N, targets: Tensor = Y, indices: Tensor | None = None) -> None:
    TensorLoader(images(count), targets, batch_size=4, shuffle=False, indices=indices)


CASES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a label too large": (
        lambda: fit(y=changed(Y, 20, 7)),
        ValueError,
        r"`target` must be in \[0, 3\), got 7: check `num_classes`",
    ),
    "a negative label": (
        lambda: fit(y=changed(Y, 3, -1)),
        ValueError,
        r"`target` must be in \[0, 3\), got -1: check",
    ),
    "float labels": (
        lambda: fit(y=Y.float()),
        TypeError,
        r"`target` must be a tensor of integers, .* got torch.float32: cast the labels to int64",
    ),
    "a negative index": (
        lambda: fit(index=INDEX - 1),
        IndexError,
        r"`index` must be in \[0, 32\), got -1: pass positions in the training set, whose size this is",
    ),
    "an index beyond the table": (
        lambda: fit(index=INDEX + 5),
        IndexError,
        r"`index` must be in \[0, 32\), got 36: pass positions in the training set, whose size this is",
    ),
    "an index beyond the tracker's table": (
        lambda: fit(index=INDEX + 5, method=CrossEntropy(backbone=nn.Linear(4, C), num_classes=C)),
        IndexError,
        r"`index` must be in \[0, 32\), got 36: pass positions in the training set, whose size this is",
    ),
    "a float index": (
        lambda: fit(index=INDEX.float()),
        TypeError,
        r"`index` must be a tensor of integers, .* got torch.float32: wrap the training set in noisylearn.data.Indexed",
    ),
    "rows given twice": (
        lambda: serve(indices=torch.tensor([4, 1, 4])),
        ValueError,
        r"`indices` must not repeat a row, got 1 repetition.*: pass each row once",
    ),
    "rows that are not there": (
        lambda: serve(indices=torch.tensor([4, 32])),
        IndexError,
        r"`indices` must be in \[0, 32\), got 32",
    ),
    "negative rows": (
        lambda: serve(indices=torch.tensor([-1, 3])),
        IndexError,
        r"`indices` must be in \[0, 32\), got -1",
    ),
    "an empty dataset": (
        lambda: IndexedDataset(TensorDataset(X[:0], Y[:0])),
        ValueError,
        r"`dataset` must hold at least one sample, got none: check the path or the filter",
    ),
    "no images": (lambda: serve(0, Y[:0]), ValueError, r"`images` must .*at least one"),
    "one class": (
        lambda: ELR(backbone=nn.Linear(4, 1), num_classes=1, num_samples=N),
        ValueError,
        r"`num_classes` must be at least 2, got 1: one class has no wrong label",
    ),
    "another number of classes": (
        lambda: fit(classes=5),
        ValueError,
        r"`num_classes` is 5, but the network gives 3 logits: make them agree",
    ),
    "labels for another number of samples": (
        lambda: IndexedDataset(TensorDataset(X, Y), targets=Y[:4]),
        ValueError,
        r"`targets` must have shape \(32,\), one label per sample, got \(4,\)",
    ),
    "no number of samples": (
        lambda: fit(method=ELR(backbone=nn.Linear(4, C), num_classes=C)),
        ValueError,
        r"`num_samples` is needed: ELR keeps state per training sample\. Pass the size of the training set",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name: str) -> None:
    act, kind, message = CASES[name]
    with pytest.raises(kind, match=message):
        act()


class Breaks(nn.Module):
    """Gives NaN from a call on."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.layer, self.left = nn.Linear(4, C), call

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        out: Tensor = self.layer(x) * (float("nan") if self.left < 0 else 1.0)
        return out


def test_a_fit_that_diverges_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    method = CrossEntropy(backbone=Breaks(call=9), num_classes=C)
    trainer = Trainer(
        max_epochs=9,
        num_sanity_val_steps=0,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=1, save_top_k=-1)],
    )
    with pytest.raises(RuntimeError, match=r"the loss became NaN or infinite in epoch 2: lower `lr`, clip gradients"):
        trainer.fit(method, DataLoader(TensorDataset(X, Y, INDEX), batch_size=8), VAL)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 1
    assert all(bool(value.isfinite().all()) for value in saved["state_dict"].values())
    assert len(list(tmp_path.glob("epoch=*.ckpt"))) == 2
