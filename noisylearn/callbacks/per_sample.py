"""`PerSampleCallback`: one row per training sample, numbered, checkpointed and read back."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence, Sized
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import Callback
from noisylearn.callbacks.index_recorder import innermost, source_index
from noisylearn.callbacks.named_signals import Planned
from noisylearn.callbacks.planted import Planted
from noisylearn.callbacks.row_keys import RowKeys
from noisylearn.signals import Score, SignalSet

FIRST_KEYS = 1024
"""Rows of a table whose samples have names; it doubles when they are used up."""


class PerSampleCallback(Callback):
    """Base of the callbacks that keep a `SignalSet`, whether training steps or sweeps feed it.

    Args:
        num_samples: Rows of the table; by default the size of the training set.

    Attributes:
        signal_set: The signals and their table; None before the first observation.
        dataset_index: For each row, its position in the innermost dataset, where the loader's is a chain of
            ``Subset``s; None where it is not, and where the batches carry the index themselves.
        by_position: Whether rows are positions in the training loader's dataset, not numbers that batches carry.
        keys: The samples' own names, where batches carry strings instead of row numbers.
        planted: Labels that another callback has replaced on purpose (`LabelCanaries`); exports take that back.
    """

    def __init__(self, num_samples: int | None = None) -> None:
        super().__init__()
        self._num_samples = num_samples
        self.by_position = False  # rows are positions in the loader's dataset, not numbers that batches carry
        self.signal_set: SignalSet | None = None
        self.dataset_index: list[int] | None = None
        self.keys = RowKeys()
        self.planted: Planted | None = None
        self._dataset_size = 0
        self._num_classes = 0
        self._epoch_offset = 0
        self._first_observed = self._last_epoch = -1
        self._uncommitted = self._added = False
        self._resumed: dict[str, Any] | None = None  # the checkpoint's table, until the fit that goes on from it begins

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Return the signals to feed; called at the first observation or when a checkpoint is loaded."""
        raise NotImplementedError(f"{type(self).__name__} must define build_signals(num_samples, num_classes)")

    def planned_signals(self) -> Sequence[Planned]:
        """Return the signals that are known before the first observation."""
        return []

    @property
    def score_info(self) -> list[Score]:
        """What is, or will be, reported: name, description, direction."""
        signals: Sequence[Planned] = self.planned_signals() if self.signal_set is None else self.signal_set.signals
        return [score for signal in signals for score in signal.scores]

    @property
    def suggests(self) -> bool:
        """Whether a label is suggested for each sample."""
        return any(info.name == "suggested" for info in self.score_info)

    @property
    def view(self) -> dict[str, str]:
        """How the samples were looked at, for the record: kind of view, mode of the network, transform of the input."""
        raise NotImplementedError(f"{type(self).__name__} must define the property `view`")

    @property
    def first_epoch(self) -> int:
        """The first epoch that is observed."""
        return 0

    @property
    def epochs(self) -> tuple[int, int]:
        """The first and the last epoch that something was observed in; -1 before any is over."""
        return self._first_observed, self._last_epoch

    @property
    def num_rows(self) -> int:
        """Rows that stand for a sample: all of the table's, or as many as there are keys."""
        if self.signal_set is None:
            return 0
        return len(self.keys) or self.signal_set.table.num_samples

    @property
    def sharded(self) -> bool:
        """Whether each process has the rows of its own samples only; `scores` is a collective call then."""
        return self.signal_set is not None and self.signal_set.table.placement.sharded

    # -- epochs ------------------------------------------------------------------------------------------------------

    def _begin_fit(self, trainer: Any, device: torch.device) -> None:
        """Number this fit's epochs on from the last one's, unless it resumes a checkpoint."""
        if self.signal_set is not None:
            self.signal_set.to(device)
        elif self._added and trainer.is_global_zero and self._has_missed(trainer):
            warnings.warn(
                f"{self.state_key} is not in the checkpoint: what it measures begins in mid-run, with epoch "
                f"{trainer.current_epoch}. Resume with the callbacks of the checkpoint to have it from the start",
                stacklevel=2,
            )
        self._added = False
        if self._resumed is None:
            self._commit(self._last_epoch + 1)  # what an interrupted fit has left is an epoch of its own
            if self._last_epoch >= trainer.current_epoch + self._epoch_offset:
                self._epoch_offset = self._last_epoch + 1 - trainer.current_epoch
        self._resumed = None

    def _has_missed(self, trainer: Any) -> bool:
        """Whether there has been something to observe before this fit."""
        return bool(trainer.current_epoch > self.first_epoch or (self.first_epoch == 0 and trainer.global_step > 0))

    def _epoch(self, trainer: Any) -> int:
        return int(trainer.current_epoch) + self._epoch_offset

    def _commit(self, epoch: int) -> None:
        if not self._uncommitted or self.signal_set is None:
            return
        self._first_observed = epoch if self._first_observed < 0 else self._first_observed
        self._last_epoch, self._uncommitted = epoch, False
        left_out = self.signal_set.commit(epoch)
        if left_out:
            warnings.warn(
                f"{left_out} observations of epoch {epoch} had NaN or infinite values and were left "
                f"out, {self.signal_set.table.num_non_finite} since the start: the training may be diverging",
                stacklevel=2,
            )

    # -- rows --------------------------------------------------------------------------------------------------------

    def _prepare_rows(self, trainer: Any, loader: Any, num_classes: int, device: torch.device) -> None:
        """Make the table at the first observation; check at each fit's first one that it is the right one.

        Args:
            trainer: The Trainer.
            loader: The training loader whose samples have the rows.
            num_classes: Classes of the logits.
            device: Where the logits are.
        """
        if len(self.keys) and trainer.world_size > 1:
            raise ValueError(
                f"`index` must be integers on several processes, got strings on {trainer.world_size}: each would "
                "number them in its own way; number the samples in the dataset"
            )
        if self.signal_set is None:
            self._num_classes = num_classes
            self.signal_set = self.build_signals(self._size(loader, trainer.datamodule), num_classes)
            self.signal_set.to(device)
        elif (
            not len(self.keys) and (size := self._size(loader, trainer.datamodule)) != self.signal_set.table.num_samples
        ):
            raise ValueError(
                f"this {type(self).__name__} has rows for {self.signal_set.table.num_samples} samples, but the "
                f"training set has {size}: use a new one, or resume with the training set of the checkpoint"
            )
        if self.by_position:
            self.dataset_index, self._dataset_size = source_index(loader.dataset), len(innermost(loader.dataset))

    def rows_at(self, positions: Tensor, dataset: Any) -> Tensor:
        """Return the rows of samples that are known by their position in the training loader's dataset.

        Args:
            positions: ``(K,)`` int64.
            dataset: That dataset.
        """
        chain = None if self.by_position else source_index(dataset)
        return positions if chain is None else torch.tensor(chain)[positions]

    def _make_room(self) -> None:
        """Grow the table where names have used up its rows."""
        assert self.signal_set is not None
        size = self.signal_set.table.num_samples
        if len(self.keys) > size:
            self.signal_set.grow(max(2 * size, len(self.keys)))

    def _size(self, loader: Any, datamodule: Any) -> int:
        """Rows that the indices point into, or that named samples begin with."""
        if self._num_samples is not None:
            return check_positive_int("num_samples", self._num_samples)
        if len(self.keys):
            return max(FIRST_KEYS, len(self.keys))
        dataset = getattr(loader, "dataset", None)
        if not self.by_position:  # a Subset hands on the positions that the dataset inside gives
            dataset = innermost(dataset)
        if isinstance(dataset, Sized):
            return len(dataset)
        for owner in (loader, datamodule):
            if isinstance(size := getattr(owner, "num_samples", None), int):
                return size
        raise ValueError("`num_samples` cannot be read from the training loader: pass `num_samples=`")

    # -- results -----------------------------------------------------------------------------------------------------

    def scores(self, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return each score as ``(N,)`` float32; NaN for samples not seen yet, and for planted ones.

        Where the table is sharded all processes make this call together.

        Args:
            names: The scores wanted beside the given label, by default all; other signals are not computed.

        Raises:
            RuntimeError: Nothing was tracked yet.
        """
        if self.signal_set is None:
            raise RuntimeError("no scores yet: run `Trainer.fit` with this callback first")
        wanted = None if names is None else {"given", *names}
        scores = {name: value[: self.num_rows] for name, value in self.signal_set.compute(wanted).items()}
        return scores if self.planted is None else self.planted.taken_back(scores)

    def to_frame(self, clean_targets: Any = None) -> Any:
        """Return one row per training sample, see `signal_table`.

        Args:
            clean_targets: True labels where known, -1 elsewhere; becomes the column ``clean``.

        Returns:
            A pandas DataFrame where pandas is installed, else a pyarrow Table.

        Raises:
            RuntimeError: Nothing was tracked yet.
        """
        from noisylearn.callbacks.signal_table import signal_table

        table = signal_table(self, clean_targets)
        return table.to_pandas() if find_spec("pandas") is not None else table

    def per_row(self, values: Any) -> Tensor | None:
        """Return one value per row, on the CPU, from one per row or one per sample of the innermost dataset.

        Args:
            values: ``(N,)`` or longer, e.g. the true labels of the dataset of which the loader has a ``Subset``.

        Returns:
            ``(N,)``, or None if ``values`` have neither length.
        """
        given: Tensor = torch.as_tensor(values).cpu()
        if given.shape == (self.num_rows,):
            return given
        if self.dataset_index is not None and given.shape == (self._dataset_size,):
            return given.index_select(0, torch.tensor(self.dataset_index))
        return None

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the table as plain tensors; no collective runs here, so nothing where it is sharded."""
        return {} if self.signal_set is None or self.sharded else self._state()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add a sharded table, gathered from all ranks: saving is a collective call in Lightning already."""
        if self.signal_set is not None and self.sharded:
            checkpoint["callbacks"][self.state_key] = self._state()

    def _state(self) -> dict[str, Any]:
        assert self.signal_set is not None
        return {
            "signals": self.signal_set.state_dict(),
            "keys": self.keys.names,
            "planted": None if self.planted is None else vars(self.planted),
            "num_classes": self._num_classes,
            "by_position": self.by_position,
            "epoch_offset": self._epoch_offset,
            "epochs": self.epochs,
        }

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Note whether the checkpoint knows this callback."""
        self._added = self.state_key not in checkpoint["callbacks"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: The checkpoint was made with other signals.
        """
        signals = state_dict["signals"]
        self._num_classes, self.by_position = state_dict["num_classes"], state_dict["by_position"]
        self.signal_set = self.build_signals(signals["num_samples"], self._num_classes)
        # Of other processes' uncommitted rows it is told when the loader is known, see `ObservingCallback`.
        self.signal_set.load_state_dict({**signals, "world_size": 1})
        self.keys.restore(state_dict["keys"])
        self.planted = None if state_dict["planted"] is None else Planted(**state_dict["planted"])
        self._epoch_offset, (self._first_observed, self._last_epoch) = state_dict["epoch_offset"], state_dict["epochs"]
        # Rows that were not committed when the checkpoint was made are so with the rest of their epoch.
        self._uncommitted = bool(signals.get("waiting")) or bool((signals["staged_int"] != 0).any())
        self._resumed = signals
