"""What a fit was fed, batch by batch, for a loop by hand over the same batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from noisylearn._compat import Callback


@dataclass(frozen=True)
class Fed:
    """A batch, and the state of the random numbers before its step."""

    epoch: int
    x: Any
    target: Tensor
    index: Tensor
    rng: Tensor


class Recorder(Callback):  # type: ignore[misc]  # its base is made at import time
    """Remembers every batch of a fit."""

    def __init__(self) -> None:
        super().__init__()
        self.fed: list[Fed] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        x, target, index = batch
        self.fed.append(Fed(trainer.current_epoch, x, target, index, torch.get_rng_state()))

    def rows(self, epoch: int) -> list[list[int]]:
        """The row numbers of each batch of an epoch."""
        return [fed.index.tolist() for fed in self.fed if fed.epoch == epoch]
