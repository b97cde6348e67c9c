"""`ObservingCallback`: reads every training step of any LightningModule into per-sample rows."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from noisylearn._checks import check_positive_int
from noisylearn.callbacks.index_recorder import count_steps_in_hand
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.step_reader import StepReader
from noisylearn.signals import Observation


class ObservingCallback(PerSampleCallback):
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
        super().__init__(num_samples, loader)
        self._epoch_range = check_epoch_range(epoch_range)
        if commit_every_n_steps is not None:
            check_positive_int("commit_every_n_steps", commit_every_n_steps)
        self._reader = StepReader(index, target, logits, features, loader, ignore_index, self.keys)
        self._commit_every = commit_every_n_steps
        self._steps = 0
        self._checked = self._observed = self._discarded = False

    @property
    def view(self) -> dict[str, str]:
        """The training step's own view."""
        return {"view": "online", "model_mode": "train", "transform": "the training step's own"}

    @property
    def first_epoch(self) -> int:
        """The first epoch of the window."""
        return self._epoch_range[0]

    # -- life of a fit ---------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Arrange for the loader's indices to be recorded."""
        if stage == "fit":
            self._discarded = False
            self._reader.attach(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put everything back."""
        self._reader.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put everything back: Lightning does not call ``teardown`` after an error."""
        self._reader.detach()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Number this fit's epochs on from the last one's, unless it resumes a checkpoint."""
        count_steps_in_hand(trainer)
        if self._resumed is not None:
            self._take_up_epoch(trainer, self._resumed)
        self._begin_fit(trainer, pl_module.device)
        self._checked = False

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
            self._make_room()
            self.signal_set.observe(obs)
            self._uncommitted = True
        due = self._commit_every is not None and (batch_idx + 1) % self._commit_every == 0
        if trainer.is_last_batch or due:
            self._commit(self._epoch(trainer))

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Commit: a checkpoint may be saved in what follows."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._commit(self._epoch(trainer))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Commit what a stop in mid-epoch has left, and tell of an epoch in which nothing could be observed."""
        self._commit(self._epoch(trainer))
        if self._steps and not self._observed:
            warnings.warn(
                f"{type(self).__name__} saw no logits in the {self._steps} steps of epoch {trainer.current_epoch}: "
                "every step was skipped, or ran no network",
                stacklevel=2,
            )
        self._steps, self._observed = 0, False

    def _in_range(self, trainer: Any) -> bool:
        first, last = self._epoch_range
        return first <= self._epoch(trainer) <= last

    def _prepare(self, trainer: Any, obs: Observation) -> None:
        """Make and check the table at a fit's first observation."""
        self.by_position = self._reader.recorded
        loader = self._reader.recorder.tracked_loader()
        self._prepare_rows(trainer, loader, obs.logits.shape[1], obs.logits.device)
        self._checked = True

    def _take_up_epoch(self, trainer: Any, saved: dict[str, Any]) -> None:
        """Go on with the unfinished epoch where the loader does; else it starts anew, in another order.

        What was committed in mid-epoch (before a validation, or every so many steps) stays, and is not counted again.
        """
        assert self.signal_set is not None
        if hasattr(self._reader.recorder.tracked_loader(), "load_state_dict"):
            self.signal_set.load_state_dict(saved)  # warns of the rows that other processes had not committed
            return
        dropped = self.signal_set.discard()
        self._uncommitted = False
        others = [c for c in trainer.callbacks if isinstance(c, ObservingCallback)]
        told, self._discarded = any(other._discarded for other in others), dropped > 0
        if dropped and not told:  # once, not by each that has lost them
            warnings.warn(
                f"resumed in mid-epoch with a loader that cannot continue where it stopped: the {dropped} rows seen in "
                "the unfinished epoch are discarded. Use a loader with state_dict/load_state_dict to keep them",
                stacklevel=2,
            )


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
