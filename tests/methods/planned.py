"""A method that goes through the training set, chooses samples and orders its batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from noisylearn._compat import Callback
from noisylearn.losses import cross_entropy
from noisylearn.methods import NoisyLearner
from noisylearn.methods.sweep import sweeping
from noisylearn.tables import Column, SampleTable
from tests.methods.harness import Case, plain


class Confident(NoisyLearner):
    """From the second epoch on, learns from the samples whose loss was below average in a sweep, each twice."""

    def __init__(self, **learner: Any) -> None:
        super().__init__(**learner)
        self.begun: list[int] = []
        self.swept: list[list[int]] = []

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        return {"chosen": SampleTable(num_samples, [Column("loss", merge="last")])}

    def begin_epoch(self) -> None:
        self.begun.append(self.current_epoch)
        with sweeping(self, "choose") as batches:
            assert not self.network.training
            assert not torch.is_grad_enabled()
            self.swept.append([])
            for x, target, index in batches:
                self.swept[-1] += index.tolist()
                self.tables["chosen"].observe(index, {"loss": cross_entropy(self(x), target)})
        assert self.network.training
        assert torch.is_grad_enabled()
        self.tables["chosen"].commit(self.current_epoch)

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        if self.current_epoch == 0:
            return None
        losses = self.tables["chosen"].views()["loss"]
        chosen = rows[(losses < losses.mean())[rows]]
        return chosen.repeat(2)[torch.randperm(2 * len(chosen), generator=generator)]

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        return cross_entropy(logits, target)


class Served(Callback):  # type: ignore[misc]
    """Remembers which rows each epoch served."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, list[int]] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows.setdefault(trainer.current_epoch, []).extend(batch[2].tolist())


class Watch(Callback):  # type: ignore[misc]
    """Keeps the batches and the first weights."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[int, list[Any]] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.first = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.setdefault(trainer.current_epoch, []).append(batch)


PLANNED = Case(Confident, {"backbone": plain}, tables=("chosen",))
