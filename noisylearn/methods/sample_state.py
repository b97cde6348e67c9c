"""`SampleState`: the per-sample tables of a method, from the first step to the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import LightningModule
from noisylearn.tables import Column, SampleTable, Views

WEIGHTS = "sample_weights"


class SampleState(LightningModule):
    """A LightningModule with `tables`: built before a fit, committed once an epoch, and in the checkpoint.

    It also notes whether a loss was not finite, which stops the fit before such weights replace a checkpoint.
    """

    num_samples: int | None

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, SampleTable] = {}
        self._uncommitted = False
        self._diverged: Tensor | None = None
        self._begun = -1  # the last epoch that `begin_epoch` prepared

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Return the method's state per sample, by name; called before each fit that begins at epoch 0."""
        return {}

    def advance(self, name: str, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Return the new values of a table's ``"ordered"`` columns, by column, where an epoch's rows are committed.

        Args:
            name: The table's name.
            state: Its committed columns, over all rows.
            staged: What the epoch has staged, likewise; only rows that were staged take the new values.
        """
        return {}

    def begin_epoch(self) -> None:
        """Do what an epoch begins with, e.g. go through the training set and choose the samples it learns from.

        Called once per epoch, before its batches are planned and before its first step; a run that is resumed in
        mid-epoch does not call it again, so what it makes belongs in a table, a buffer or a parameter.
        """

    def begin_epoch_once(self) -> None:
        """Call `begin_epoch`, unless this epoch has begun already."""
        if self._begun != self.current_epoch:
            self._begun = self.current_epoch
            self._place_tables()  # planning may come before the fit's first hook
            self.begin_epoch()

    def set_sample_weights(self, index: Tensor, weights: Tensor) -> None:
        """Weight samples in the mean from now on (1 unless set); for callbacks that prune or re-weight.

        Args:
            index: ``(K,)`` int64 row numbers, without repeats.
            weights: ``(K,)`` non-negative weights.

        Raises:
            ValueError: A weight is negative or not finite, or a row comes twice.
        """
        if not bool(((weights >= 0) & weights.isfinite()).all()):
            raise ValueError("`weights` must be finite and at least 0: 0 leaves a sample out")
        if torch.bincount(index.flatten(), minlength=1).max() > 1:
            raise ValueError("`index` must have each row once, got repeats: which of its weights should count?")
        if WEIGHTS not in self.tables:
            self.tables[WEIGHTS] = self._weight_table()
        self.tables[WEIGHTS].write(index, {"weight": weights})

    def sample_weights(self, index: Tensor) -> Tensor | None:
        """Return the weights of these samples, ``(B,)``, or None while none was set."""
        return self.tables[WEIGHTS].read(index)["weight"] if WEIGHTS in self.tables else None

    def _weight_table(self) -> SampleTable:
        weight = Column("weight", merge="ordered", initial=1.0)
        return SampleTable(self._count_samples(), [weight], device=self.device)

    def _count_samples(self) -> int:
        known = self.num_samples or getattr(getattr(self._trainer, "datamodule", None), "num_samples", None)
        if known is None:
            raise ValueError(
                f"`num_samples` is needed: {type(self).__name__} keeps state per training sample. Pass the size of the "
                "training set, or fit with a NoisyDataModule"
            )
        return check_positive_int("num_samples", known)

    # -- life of a fit -----------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Build the tables, before Lightning restores a checkpoint into them."""
        if stage != "fit":
            return
        self._diverged, self._uncommitted, self._begun = None, False, -1
        if self.trainer.current_epoch == 0:  # else the same Trainer goes on, and so does the state
            self.tables = {name: table for name, table in self.tables.items() if name == WEIGHTS}
        if type(self).build_tables is not SampleState.build_tables and not self.tables.keys() - {WEIGHTS}:
            self.tables |= self.build_tables(self._count_samples())

    def on_train_start(self) -> None:
        """Move the tables to the device."""
        self._place_tables()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begin the epoch, if planning it has not."""
        self.begin_epoch_once()

    def _place_tables(self) -> None:
        for table in self.tables.values():
            table.to(self.device)

    def on_validation_start(self) -> None:
        """Commit: a checkpoint may be saved in what follows."""
        if not self.trainer.sanity_checking:
            self.commit()

    def on_train_epoch_end(self) -> None:
        """Commit what a stop in mid-epoch has left."""
        self.commit()

    def watch(self, losses: Tensor) -> None:
        """Note, on the device, a step and whether one of its losses is not finite.

        A sample that the method leaves out counts too: its gradient is NaN all the same.

        Args:
            losses: ``(..., B)``.
        """
        bad = ~losses.detach().isfinite().all()
        self._diverged = bad if self._diverged is None else self._diverged | bad
        self._uncommitted = True

    def commit(self) -> None:
        """Commit what the steps since the last commit have staged; a collective call.

        Raises:
            RuntimeError: A loss was not finite.
        """
        if not self._uncommitted:
            return
        self._uncommitted = False
        self._raise_if_diverged()
        for name, table in self.tables.items():
            if name != WEIGHTS:
                table.commit(self.current_epoch, partial(self.advance, name))

    def _raise_if_diverged(self) -> None:
        """Wait for the device, once an epoch and before a checkpoint is written; all ranks agree."""
        diverged = self._diverged is not None and bool(self._diverged)
        if self.trainer.strategy.reduce_boolean_decision(diverged, all=False):
            raise RuntimeError(
                f"the loss became NaN or infinite in epoch {self.current_epoch}: lower `lr`, clip gradients "
                "(`gradient_clip_val`), or look for broken inputs; earlier checkpoints are intact"
            )

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the tables, as plain CPU tensors.

        Raises:
            RuntimeError: A loss was not finite: such weights must not replace an earlier checkpoint.
        """
        self._raise_if_diverged()
        checkpoint["noisylearn_begun"] = self._begun
        if self.tables:
            checkpoint["noisylearn_tables"] = {name: table.state_dict() for name, table in self.tables.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the tables, where they are built: for fitting, not for inference.

        Raises:
            ValueError: The checkpoint is another method's.
        """
        if self._trainer is None or self.trainer.state.fn != "fit":
            return
        self._begun = checkpoint.get("noisylearn_begun", -1)
        saved = checkpoint.get("noisylearn_tables", {})
        if WEIGHTS in saved:
            self.tables[WEIGHTS] = self._weight_table()
        for name, table in self.tables.items():
            if name in saved:
                table.load_state_dict(saved[name])
            elif name != WEIGHTS:
                raise ValueError(f"the checkpoint has no table {name!r}: resume with the method that saved it")
        self._uncommitted = True  # it may hold staged rows
