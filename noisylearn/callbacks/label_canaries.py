"""`LabelCanaries`: labels flipped on purpose, to see memorization where no true label is known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, check_probability
from noisylearn.callbacks.label_view import LabelView
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.memorization_meter import LastPrediction
from noisylearn.callbacks.observing import ObservingCallback
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.step_reader import StepReader
from noisylearn.signals import GivenLabel, Observation, SignalSet


class LabelCanaries(ObservingCallback):
    """Trains on a wrong label for a few samples, and logs each epoch how many of these the network has memorized.

    A random ``fraction`` of the training samples (at least one) gets another class, drawn evenly from the others, in
    the batches that ``training_step`` receives; the dataset and what the loader makes of it are not touched. Logged are
    ``canary_memorized`` (predicted as flipped), ``canary_correct`` (predicted as given) and ``canary_other``, over the
    canaries seen in the epoch, if any. They rise and fall as the same fractions of the really wrong labels do
    (`MemorizationMeter`), but need no true label; a given label that is itself wrong blurs them a little.

    Trackers of the same Trainer go on measuring against the label that was given, and export no score of a sample that
    has ever been a canary (NaN): what the network makes of it was taught by another label.

    Source: canaries after Carlini et al., "The Secret Sharer", USENIX Security 2019, for class labels: at most log2 of
    the number of classes bits each, so many are planted. The fractions are those of Liu et al., NeurIPS 2020, Figure 1.

    Args:
        num_classes: Number of classes; by default that of the module or the DataModule.
        fraction: Part of the training samples, in (0, 0.2].
        seed: Seed of the choice.
        index: As in `SignalTracker`.
        target: Where a batch holds the labels: a key, since they are replaced there.
        logits: As in `SignalTracker`.
        loader: As in `SignalTracker`.
        num_samples: As in `SignalTracker`.
        ignore_index: As in `SignalTracker`; such samples keep it.

    Raises:
        ValueError: ``fraction`` is out of range, or ``target`` a function; on the first batch, ``num_classes`` is not
            the width of the logits, or not above every label.

    Example:
        >>> LabelCanaries(num_classes=10, fraction=0.01).state_key
        'LabelCanaries'
    """

    def __init__(
        self,
        num_classes: int | None = None,
        fraction: float = 0.02,
        seed: int = 0,
        index: Key | None = None,
        target: str | int | None = None,
        logits: Key | None = None,
        loader: str | int | None = None,
        num_samples: int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(index, target, logits, num_samples, loader=loader, ignore_index=ignore_index)
        self._ignored = ignore_index
        check_probability("fraction", fraction, "pass e.g. 0.02")
        if not 0 < fraction <= 0.2:
            raise ValueError(f"`fraction` must be in (0, 0.2], got {fraction}: more would be training on noise")
        if callable(target):
            raise ValueError("`target` must be a key (a str or an int), since labels are replaced there")
        self._given_classes = None if num_classes is None else check_positive_int("num_classes", num_classes)
        self.fraction, self.seed = fraction, seed
        self._batches = StepReader(index, target, loader=loader)
        self._view = LabelView(self._flip, self._batches)
        self._trainer: Any = None
        self._shift = torch.empty(0, dtype=torch.int64)
        self._classes = 0

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Keep the last prediction and the given label."""
        return SignalSet([LastPrediction(), GivenLabel()], num_samples)

    @property
    def rows(self) -> Tensor:
        """``(K,)`` int64: the rows whose label is flipped."""
        return self._shift.nonzero()[:, 0]

    # -- planting ----------------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Stand before the batches.

        Raises:
            ValueError: The number of classes is not known, or below 2.
        """
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            owners = (pl_module, trainer.datamodule, getattr(pl_module, "hparams", None))
            known = (getattr(owner, "num_classes", None) for owner in owners)
            classes = self._given_classes or next((c for c in known if isinstance(c, int)), None)
            if classes is None or classes < 2:
                raise ValueError(
                    f"`num_classes` is needed to flip a label to another class, got {classes}: pass it, at least 2"
                )
            self._classes = classes
            self._shift = torch.empty(0, dtype=torch.int64)
            self._trainer = trainer
            self._view.attach(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put everything back."""
        self._view.detach()
        super().teardown(trainer, pl_module, stage)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put everything back; where it was the first step that failed, say what may have been the reason."""
        if len(self._shift) and not self._checked:
            text = f"`num_classes` of LabelCanaries is {self._classes}, so labels up to {self._classes - 1} are shown: "
            exception.add_note(text + "it must be the width of the logits")
        self._view.detach()
        super().on_exception(trainer, pl_module, exception)

    def _plant(self, device: torch.device) -> None:
        """Draw the canaries and tell the trackers; what the rows are is known when a batch was seen."""
        size = self._size(self._batches.recorder.tracked_loader(), self._trainer.datamodule)
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randperm(size, generator=generator)[: max(round(self.fraction * size), 1)]
        shift = torch.randint(1, self._classes, rows.shape, generator=generator)
        self._shift = torch.zeros(size, dtype=torch.int64).index_copy(0, rows, shift).to(device)
        for callback in self._trainer.callbacks:
            if isinstance(callback, PerSampleCallback) and callback is not self:
                callback.planted = torch.unique(torch.cat([callback.planted, self.rows.cpu()]))

    def _flip(self, index: Tensor, targets: Tensor) -> Tensor:
        if not len(self._shift):  # a fit's first batch
            self._check(targets)
            self.by_position = self._batches.recorded
            self._plant(targets.device)
        shift = self._shift[index]
        flipped = torch.where(shift != 0, (targets + shift) % self._classes, targets)
        return flipped if self._ignored is None else torch.where(targets == self._ignored, targets, flipped)

    def _check(self, targets: Tensor) -> None:
        """Check, on the first batch of a fit only (it waits for the device), that labels are below the classes."""
        if len(self._batches.keys):
            raise ValueError(
                "`index` must be integers for LabelCanaries, got strings: each callback would number the samples in "
                "its own way; number them in the dataset"
            )
        labels = targets if self._ignored is None else targets[targets != self._ignored]
        low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
        if low < 0:
            raise ValueError(
                f"`target` must be at least 0, got {low}: if it means that no label is given, pass it as "
                "`ignore_index=`"
            )
        if high >= self._classes:
            raise ValueError(
                f"`num_classes` must be above every label, got {self._classes} and the label {high}: pass the number "
                "of classes"
            )

    def _prepare(self, trainer: Any, obs: Observation) -> None:
        super()._prepare(trainer, obs)
        if (width := obs.logits.shape[1]) != self._classes:
            raise ValueError(
                f"`num_classes` must be the width of the logits, {width}, got {self._classes}: pass {width}"
            )

    # -- measuring ---------------------------------------------------------------------------------------------------

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log the fractions over the canaries seen in this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.signal_set is None:
            return
        if not len(self._shift):  # resumed from a checkpoint of an epoch that was over but for this
            self._plant(pl_module.device)
        state = self.signal_set.table.views()
        seen = (state["last_epoch"] == self._epoch(trainer)) & (self._shift != 0)
        if not bool(seen.any()):
            return
        given, predicted = state["given"][seen].long(), state["prediction"][seen].long()
        shown = (given + self._shift[seen]) % self._classes
        values = {"canary_memorized": predicted == shown, "canary_correct": predicted == given}
        values["canary_other"] = ~(values["canary_memorized"] | values["canary_correct"])
        # All processes have the same numbers; Lightning wants to be told, or it warns.
        means = {name: value.float().mean() for name, value in values.items()}
        pl_module.log_dict(means, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
