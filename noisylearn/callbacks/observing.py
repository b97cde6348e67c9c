"""`ObservingCallback`: reads every training step of any LightningModule into per-sample rows."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import Callback
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
    """

    def __init__(
        self,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        num_samples: int | None = None,
        commit_every_n_steps: int | None = None,
    ) -> None:
        super().__init__()
        if commit_every_n_steps is not None:
            check_positive_int("commit_every_n_steps", commit_every_n_steps)
        self.signal_set: SignalSet | None = None
        self._reader = StepReader(index, target, logits)
        self._num_samples = num_samples
        self._commit_every = commit_every_n_steps
        self._saved: dict[str, Any] | None = None
        self._epoch_offset = 0
        self._last_epoch = -1
        self._uncommitted = False

    def build_signals(self, num_samples: int, obs: Observation) -> SignalSet:
        """Return the signals to feed; called at the first observation, whose logits have the number of classes."""
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
        """Number this fit's epochs on from the last one, unless it is the resumption of a checkpoint."""
        if self._saved is not None:
            self._epoch_offset, self._last_epoch = self._saved["epoch_offset"], self._saved["last_epoch"]
        elif self._last_epoch >= trainer.current_epoch + self._epoch_offset:
            self._epoch_offset = self._last_epoch + 1 - trainer.current_epoch
        if self.signal_set is not None:
            self.signal_set.table.to(pl_module.device)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Listen for the logits."""
        self._reader.start_step(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stage the step's rows; commit at the end of the epoch."""
        obs = self._reader.end_step(batch, outputs, trainer.is_last_batch)
        if obs is not None:
            if self.signal_set is None or self._saved is not None:
                self._prepare(trainer, obs)
            assert self.signal_set is not None
            self.signal_set.observe(obs)
            self._uncommitted = True
        due = self._commit_every is not None and (batch_idx + 1) % self._commit_every == 0
        if trainer.is_last_batch or due:
            self._commit(trainer, pl_module)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Commit: a checkpoint may be saved in what follows."""
        if not trainer.sanity_checking:
            self._commit(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Commit what a stop in mid-epoch has left."""
        self._commit(trainer, pl_module)

    def _prepare(self, trainer: Any, obs: Observation) -> None:
        if self.signal_set is None:
            signals = self.build_signals(self._size(trainer), obs)
            signals.table.to(obs.logits.device)
            self.signal_set = signals
        if self._saved is not None:
            self.signal_set.load_state_dict(self._saved["signals"])
            self._saved = None
            self._drop_partial_epoch(trainer)

    def _drop_partial_epoch(self, trainer: Any) -> None:
        """Without a stateful loader the interrupted epoch starts anew in another order."""
        assert self.signal_set is not None
        if hasattr(trainer.train_dataloader, "load_state_dict"):
            return
        dropped = self.signal_set.table.discard_staged()
        if dropped:
            warnings.warn(
                f"resumed in mid-epoch with a loader that cannot continue where it stopped: the {dropped} rows seen in "
                "the unfinished epoch are discarded. Use a loader with state_dict/load_state_dict to keep them",
                stacklevel=2,
            )

    def _size(self, trainer: Any) -> int:
        if self._num_samples is not None:
            return check_positive_int("num_samples", self._num_samples)
        for owner in (self._reader.recorder.loader, trainer.datamodule):
            size = getattr(owner, "num_samples", None)
            if isinstance(size, int):
                return size
        dataset = getattr(self._reader.recorder.loader, "dataset", None)
        if dataset is None or not hasattr(dataset, "__len__"):
            raise ValueError("`num_samples` cannot be read from the training loader: pass `num_samples=`")
        return len(dataset)

    def _commit(self, trainer: Any, pl_module: Any) -> None:
        if not self._uncommitted or self.signal_set is None:
            return
        self._last_epoch = trainer.current_epoch + self._epoch_offset
        left_out = self.signal_set.commit(self._last_epoch)
        self._uncommitted = False
        if left_out:
            warnings.warn(
                f"{left_out} observations of epoch {trainer.current_epoch} had NaN or infinite values and were left out "
                f"({self.signal_set.table.num_non_finite} since the start): the training may be diverging",
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
        if self._saved is not None:
            return self._saved
        if self.signal_set is None:
            return {}
        return {
            "signals": self.signal_set.state_dict(),
            "epoch_offset": self._epoch_offset,
            "last_epoch": self._last_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the saved table until the first step shows how wide the logits are."""
        self._saved = state_dict
        # Rows that were staged when the checkpoint was made are committed with the rest of their epoch.
        self._uncommitted = bool((state_dict["signals"]["staged_int"] != 0).any())
