"""Somebody's project for protocols to be tried on: handwritten digits, a small network, a quiet Trainer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import LightningModule, Trainer
from noisylearn.noise import symmetric

CLASSES = 10


class Yours(LightningModule):
    """No ``forward``, a bare loss; dropout and batch norm tell training and evaluation apart."""

    def __init__(self, classes: int, width: int = 256, lr: float = 0.1, dropout: float = 0.0) -> None:
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(
            nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


@cache
def digits(size: int = 600) -> tuple[TensorDataset, Tensor, Tensor]:
    """The data, the labels given (a fifth of them wrong), and which are wrong."""
    data = load_digits()
    clean = data.target[:size]
    given = torch.tensor(symmetric(clean, num_classes=CLASSES, rate=0.2, seed=0).labels)
    x = torch.tensor(data.data[:size] / 16, dtype=torch.float32)
    return TensorDataset(x, given), given, given != torch.tensor(clean)


def trainers(epochs: int, **options: Any) -> Callable[[Any], Any]:
    """A factory of quiet Trainers."""

    def make(callbacks: Any) -> Any:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        rest = {"accelerator": "cpu", "enable_model_summary": False, "num_sanity_val_steps": 0}
        return Trainer(**{"max_epochs": epochs, "callbacks": callbacks, **quiet, **rest, **options})

    return make


def loaders(batch_size: int = 64, **options: Any) -> Callable[[Any], Any]:
    """A factory of shuffling loaders."""
    return lambda view: DataLoader(view, batch_size=batch_size, shuffle=True, **options)
