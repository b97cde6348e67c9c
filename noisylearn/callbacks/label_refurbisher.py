"""`LabelRefurbisher`: train on the label that the network suggests, where it is sure."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, check_probability
from noisylearn._compat import Callback
from noisylearn.callbacks.label_view import LabelView
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.row_keys import KnownKeys
from noisylearn.callbacks.signal_tracker import MAX_CLASSES_SUGGESTED
from noisylearn.callbacks.step_reader import StepReader

SUGGESTED = "suggested"


class LabelRefurbisher(Callback):
    """Shows ``training_step`` the suggested label in place of the given one, for samples where it is likely enough.

    The suggestion is a tracker's (`noisylearn.signals.MeanProbability`, in `SignalTracker`'s default set): the class
    that is most probable on average over the epochs. It is asked anew at each epoch's end, so that a label that was
    replaced can come back. The dataset is not touched, the given label is kept, and trackers go on measuring against
    it. Logged is ``refurbished``, the part of the samples whose label is replaced.

    Source: the rule of SELFIE (Song et al., ICML 2019) and of joint optimization (Tanaka et al., CVPR 2018) in its
    simplest form, a threshold on the averaged prediction; not one of these methods.

    Args:
        start_epoch: First epoch that is trained on other labels.
        threshold: Mean probability from which a suggestion is followed, in (0, 1].
        index: As in `SignalTracker`.
        target: Where a batch holds the labels: a key, since they are replaced there.
        loader: As in `SignalTracker`.

    Attributes:
        labels: ``(N,)`` int64 on the CPU, the labels in force, -1 where the given one is; None before the first.

    Raises:
        ValueError: An argument is out of range, or ``target`` a function.

    Example:
        >>> LabelRefurbisher(start_epoch=10).state_key
        'LabelRefurbisher'
    """

    def __init__(
        self,
        start_epoch: int,
        threshold: float = 0.8,
        index: Key | None = None,
        target: str | int | None = None,
        loader: str | int | None = None,
    ) -> None:
        super().__init__()
        self.start_epoch = check_positive_int("start_epoch", start_epoch, "an epoch is needed to suggest from")
        self.threshold = check_probability("threshold", threshold, "pass a mean probability, e.g. 0.8")
        if threshold == 0:
            raise ValueError("`threshold` must be above 0, got 0: every suggestion would be followed")
        if callable(target):
            raise ValueError("`target` must be a key (a str or an int), since labels are replaced there")
        self.labels: Tensor | None = None
        self._on_device: Tensor | None = None
        self._reader = StepReader(index, target, loader=loader)
        self._view = LabelView(self._replace, self._reader)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Stand before the batches."""
        if stage == "fit":
            self._view.attach(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put everything back."""
        self._view.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put everything back."""
        self._view.detach()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Look for the tracker now, not at the end of an epoch.

        Raises:
            ValueError: No tracker suggests labels.
        """
        self._reader.keys = KnownKeys(self._tracker(trainer).keys)
        if self.labels is not None:
            self._on_device = self.labels.to(pl_module.device)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Look once more after the first step, which has shown how many classes there are.

        Raises:
            ValueError: No tracker suggests labels, of so many classes.
        """
        if batch_idx == 1:
            self._tracker(trainer)

    def _tracker(self, trainer: Any) -> PerSampleCallback:
        for callback in trainer.callbacks:
            if isinstance(callback, PerSampleCallback) and callback.suggests:
                return callback
        raise ValueError(
            "`LabelRefurbisher` needs a tracker that suggests labels: add SignalTracker() with its default signals, "
            f'which suggest up to {MAX_CLASSES_SUGGESTED} classes, or with "MeanProbability" among them, for more too'
        )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Ask for suggestions and replace labels from the next epoch on."""
        tracker = self._tracker(trainer)
        if trainer.current_epoch + 1 < self.start_epoch or tracker.signal_set is None:  # its window is yet to come
            return
        scores = tracker.scores()
        sure = scores["suggested_probability"] >= self.threshold  # NaN, where unseen, is not
        other = sure & (scores[SUGGESTED] != scores["given"])
        self._on_device = torch.where(other, scores[SUGGESTED], -1).long()
        self.labels = self._on_device.cpu()
        # All processes have the same number; Lightning wants to be told, or it warns.
        replaced = other.float().mean()
        pl_module.log("refurbished", replaced, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def _replace(self, index: Tensor, targets: Tensor) -> Tensor:
        if self._on_device is None:
            return targets
        # A sample with a name that is new in this epoch has no row yet, or one after those that labels are known of.
        known = (index >= 0) & (index < len(self._on_device))
        label = torch.where(known, self._on_device[index.where(known, 0)], -1)
        return torch.where(label >= 0, label, targets)

    def state_dict(self) -> dict[str, Any]:
        """Return the labels in force."""
        return {} if self.labels is None else {"labels": self.labels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.labels = state_dict["labels"]
