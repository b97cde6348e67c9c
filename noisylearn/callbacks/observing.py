"""`ObservingCallback`: reads every training step of any LightningModule into per-sample rows."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sized
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import Callback
from noisylearn.callbacks.index_recorder import innermost, source_index
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.step_reader import StepReader
from noisylearn.signals import Observation, SignalSet


class ObservingCallback(Callback):
    """Base of the callbacks that keep one row per training sample.

    It finds index, labels and logits of each step (`StepReader`), feeds a `SignalSet`, commits it when an epoch's rows
    are complete and before anything is saved, and keeps it in the checkpoint. Training is not changed: weights,
    random numbers and metrics are the same with and without it.

    Args:
        index: Where a batch holds the row numbers: a key (str or int) or a callable on the batch. By default a
            `noisylearn.data.Batch`, a dict's ``"index"``, else what the loader's own sampler yields.
        target: Where a batch holds the given labels. By default a `Batch`, a dict's ``"target"``, ``"label"``,
            ``"labels"`` or ``"y"``, else the second item.
        logits: A key of what ``training_step`` returns, the name of a submodule, or a callable on the output. By
            default ``"logits"``, else the one submodule whose output is (B, C).
        num_samples: Rows of the table; by default the size of the training set.
        commit_every_n_steps: Also commit in mid-epoch, every this many steps; a sample then counts once an epoch.
        features: Where the features come from that some signals need: a key of what ``training_step`` returns, the name
            of the submodule whose output they are, or a callable on the output. By default what the linear layer reads
            that makes the logits.
        loader: Which of several training loaders is tracked: its key in the dict or list of them.
        ignore_index: A label that means "none given" (e.g. -100); such samples are passed over.
        epoch_range: ``(first, last)`` epochs that are observed, both included, counted from 0; by default all.

    Attributes:
        signal_set: The signals and their table; None before the first observation.
        dataset_index: For each row, its position in the innermost dataset, where the loader's is a chain of
            ``Subset``s; None where it is not, and where the batches carry the index themselves.
    """

    def __init__(
        self,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        num_samples: int | None = None,
        commit_every_n_steps: int | None = None,
        features: Key | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
        epoch_range: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self._epoch_range = check_epoch_range(epoch_range)
        if commit_every_n_steps is not None:
            check_positive_int("commit_every_n_steps", commit_every_n_steps)
        self.signal_set: SignalSet | None = None
        self.dataset_index: list[int] | None = None
        self._dataset_size = 0
        self._reader = StepReader(index, target, logits, features, loader, ignore_index)
        self._num_samples = num_samples
        self._commit_every = commit_every_n_steps
        self._num_classes = 0
        self._epoch_offset = 0
        self._last_epoch = -1
        self._steps = 0
        self._uncommitted = self._resumed = self._checked = self._observed = False

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Return the signals to feed; called at the first observation or when a checkpoint is loaded."""
        raise NotImplementedError

    # -- life of a fit ---------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Arrange for the loader's indices to be recorded."""
        if stage == "fit":
            self._reader.attach(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put everything back."""
        self._reader.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put everything back: Lightning does not call ``teardown`` after an error."""
        self._reader.detach()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Number this fit's epochs on from the last one's, unless it resumes a checkpoint."""
        if self.signal_set is not None:
            self.signal_set.to(pl_module.device)
        if self._resumed:
            self._drop_partial_epoch(trainer)
        else:
            self._commit(self._last_epoch + 1)  # what an interrupted fit has left is an epoch of its own
            if self._last_epoch >= trainer.current_epoch + self._epoch_offset:
                self._epoch_offset = self._last_epoch + 1 - trainer.current_epoch
        self._resumed = self._checked = False

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Listen for the logits."""
        if self._in_range(trainer):
            self._reader.start_step(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stage the step's rows; commit at the end of the epoch."""
        obs = self._reader.end_step(batch, outputs) if self._in_range(trainer) else None
        self._steps += self._in_range(trainer)
        if obs is not None:
            self._observed = True
            if self.signal_set is None or not self._checked:
                self._prepare(trainer, obs)
            assert self.signal_set is not None
            self.signal_set.observe(obs)
            self._uncommitted = True
        due = self._commit_every is not None and (batch_idx + 1) % self._commit_every == 0
        if trainer.is_last_batch or due:
            self._commit(trainer.current_epoch + self._epoch_offset)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Commit: a checkpoint may be saved in what follows."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._commit(trainer.current_epoch + self._epoch_offset)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Commit what a stop in mid-epoch has left, and tell of an epoch in which nothing could be observed."""
        self._commit(trainer.current_epoch + self._epoch_offset)
        if self._steps and not self._observed:
            warnings.warn(
                f"{type(self).__name__} saw no logits in the {self._steps} steps of epoch {trainer.current_epoch}: "
                "every step was skipped, or ran no network",
                stacklevel=2,
            )
        self._steps, self._observed = 0, False

    def _in_range(self, trainer: Any) -> bool:
        first, last = self._epoch_range
        epoch: int = trainer.current_epoch + self._epoch_offset
        return first <= epoch <= last

    def _prepare(self, trainer: Any, obs: Observation) -> None:
        """Make the table at the first observation; check at each fit's first one that it is the right one."""
        size = self._size(trainer)
        if self.signal_set is None:
            self._num_classes = obs.logits.shape[1]
            self.signal_set = self.build_signals(size, self._num_classes)
            self.signal_set.to(obs.logits.device)
        if size != self.signal_set.table.num_samples:
            raise ValueError(
                f"this {type(self).__name__} has rows for {self.signal_set.table.num_samples} samples, but the "
                f"training set has {size}: use a new one, or resume with the training set of the checkpoint"
            )
        if self._reader.recorded:
            dataset = self._reader.recorder.tracked_loader().dataset
            self.dataset_index, self._dataset_size = source_index(dataset), len(innermost(dataset))
        self._checked = True

    def per_row(self, values: Any) -> Tensor | None:
        """Return one value per row, on the CPU, from one per row or one per sample of the innermost dataset.

        Args:
            values: ``(N,)`` or longer, e.g. the true labels of the dataset of which the loader has a ``Subset``.

        Returns:
            ``(N,)``, or None if ``values`` have neither length.
        """
        assert self.signal_set is not None
        given: Tensor = torch.as_tensor(values).cpu()
        if given.shape == (self.signal_set.table.num_samples,):
            return given
        if self.dataset_index is not None and given.shape == (self._dataset_size,):
            return given.index_select(0, torch.tensor(self.dataset_index))
        return None

    def _drop_partial_epoch(self, trainer: Any) -> None:
        """Without a stateful loader the interrupted epoch starts anew in another order."""
        assert self.signal_set is not None
        if hasattr(self._reader.recorder.tracked_loader(), "load_state_dict"):
            return
        dropped = self.signal_set.table.discard_staged()
        self._uncommitted = False
        if dropped:
            warnings.warn(
                f"resumed in mid-epoch with a loader that cannot continue where it stopped: the {dropped} rows seen in "
                "the unfinished epoch are discarded. Use a loader with state_dict/load_state_dict to keep them",
                stacklevel=2,
            )

    def _size(self, trainer: Any) -> int:
        """Rows that the indices point into."""
        if self._num_samples is not None:
            return check_positive_int("num_samples", self._num_samples)
        loader = self._reader.recorder.tracked_loader()
        dataset = getattr(loader, "dataset", None)
        if not self._reader.recorded:  # a Subset hands on the positions that the dataset inside gives
            dataset = innermost(dataset)
        if isinstance(dataset, Sized):
            return len(dataset)
        for owner in (loader, trainer.datamodule):
            if isinstance(size := getattr(owner, "num_samples", None), int):
                return size
        raise ValueError("`num_samples` cannot be read from the training loader: pass `num_samples=`")

    def _commit(self, epoch: int) -> None:
        if not self._uncommitted or self.signal_set is None:
            return
        self._last_epoch, self._uncommitted = epoch, False
        left_out = self.signal_set.commit(epoch)
        if left_out:
            warnings.warn(
                f"{left_out} observations of epoch {epoch} had NaN or infinite values and were left "
                f"out, {self.signal_set.table.num_non_finite} since the start: the training may be diverging",
                stacklevel=2,
            )

    # -- results and checkpoint --------------------------------------------------------------------------------------

    def scores(self) -> dict[str, Tensor]:
        """Return each score as ``(N,)`` float32; NaN for samples not seen yet.

        Raises:
            RuntimeError: Nothing was tracked yet.
        """
        if self.signal_set is None:
            raise RuntimeError("no scores yet: run `Trainer.fit` with this callback first")
        return self.signal_set.compute()

    def state_dict(self) -> dict[str, Any]:
        """Return the table as plain tensors; no collective runs here."""
        if self.signal_set is None:
            return {}
        return {
            "signals": self.signal_set.state_dict(),
            "num_classes": self._num_classes,
            "epoch_offset": self._epoch_offset,
            "last_epoch": self._last_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: The checkpoint was made with other signals.
        """
        signals = state_dict["signals"]
        self._num_classes = state_dict["num_classes"]
        self.signal_set = self.build_signals(signals["num_samples"], self._num_classes)
        self.signal_set.load_state_dict(signals)
        self._epoch_offset, self._last_epoch = state_dict["epoch_offset"], state_dict["last_epoch"]
        # Rows that were staged when the checkpoint was made are committed with the rest of their epoch.
        self._uncommitted = bool((signals["staged_int"] != 0).any())
        self._resumed = True


def check_epoch_range(epoch_range: tuple[int, int] | None) -> tuple[int, int]:
    """Return the first and the last epoch to observe.

    Args:
        epoch_range: ``(first, last)``, or None for all.

    Raises:
        ValueError: It is no such pair.

    Example:
        >>> check_epoch_range((5, 20))
        (5, 20)
    """
    first, last = (0, sys.maxsize) if epoch_range is None else tuple(epoch_range)
    if not 0 <= first <= last:
        raise ValueError(
            f"`epoch_range` must be (first, last) with 0 <= first <= last, got {epoch_range}: epochs count from 0"
        )
    return first, last
