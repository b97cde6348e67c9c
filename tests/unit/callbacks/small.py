"""A module and a Trainer for callbacks to be tried on: twelve samples, three classes, one feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import Checkpoint, LightningModule, ModelCheckpoint, Trainer

N, C = 12, 3
Y = torch.arange(N) % C
X = torch.arange(N, dtype=torch.float32)[:, None]
"""A sample's one feature is its number."""


class Module(LightningModule):
    """Returns a bare loss, as most modules do."""

    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = net or nn.Linear(1, C)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch[0], batch[1]
        return nn.functional.cross_entropy(self.net(x / N), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.net(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def dataset(y: Tensor = Y) -> TensorDataset:
    return TensorDataset(X[: len(y)], y)


def loader(data: Any = None, **options: Any) -> Any:
    return DataLoader(data if data is not None else dataset(), **{"batch_size": 4, **options})


def fit(
    callbacks: Sequence[Any],
    train: Any = None,
    module: Any = None,
    epochs: int = 1,
    resume: Any = None,
    datamodule: Any = None,
    **options: Any,
) -> Any:
    """Fit quietly and return the Trainer."""
    checkpoints = any(isinstance(c, Checkpoint | ModelCheckpoint) for c in callbacks)
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        enable_checkpointing=checkpoints,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"logger": False, "num_sanity_val_steps": 0, **options},
    )
    module = module or Module()
    if datamodule is not None:
        trainer.fit(module, datamodule=datamodule, ckpt_path=resume)
    else:
        trainer.fit(module, train if train is not None else loader(), loader(), ckpt_path=resume)
    return trainer
