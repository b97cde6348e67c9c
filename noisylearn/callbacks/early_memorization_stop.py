"""`EarlyMemorizationStop`: end the training when memorization sets in."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, unknown_name
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.observing import ObservingCallback
from noisylearn.signals import PredictionFlips, SignalSet

_log = logging.getLogger(__name__)
FLIPS = "prediction_flips"
ORDER = "; list the callback that logs it before EarlyMemorizationStop"


def smoothed(curve: Sequence[float], window: int) -> list[float]:
    """Return the moving average of the last ``window`` values (of fewer at the start).

    Args:
        curve: One value an epoch.
        window: Values that are averaged.

    Example:
        >>> smoothed([4.0, 2.0, 0.0], window=2)
        [4.0, 3.0, 1.0]
    """
    return [sum(part) / len(part) for part in (curve[max(i - window + 1, 0) : i + 1] for i in range(len(curve)))]


class EarlyMemorizationStop(ObservingCallback):
    """Ends the training once memorization has set in, and goes back to the weights from before it did.

    By default it watches Label Wave's curve, which needs no true label and no validation set: how many predictions
    changed from one epoch to the next (logged as ``prediction_flips``). It falls while the network learns what the
    labels have in common and rises when it begins to learn single labels by heart; its first minimum, smoothed, is
    where to stop. With ``monitor`` it watches a logged metric instead: ``canary_memorized`` (`LabelCanaries`),
    ``memorized`` (`MemorizationMeter`), ``susceptibility``, ...; with ``threshold`` it stops where the metric first
    reaches it, in place of a minimum.

    Source: Yuan et al., "Early Stopping Against Label Noise Without Validation Data", ICLR 2024 (Label Wave); the
    authors' code logs the count and leaves the stopping to the reader.

    Args:
        monitor: ``"prediction_flips"``, or the name of a logged metric.
        threshold: Stop where the metric first is at least this; None stops at its first smoothed minimum.
        window: Epochs of the moving average that smooths the curve.
        patience: Epochs that must lie above the minimum before it counts.
        restore_weights: Whether to go back to the weights of the minimum (of the last epoch below ``threshold``); it
            takes memory for a second set.
        index: As in `SignalTracker`.
        target: As in `SignalTracker`.
        logits: As in `SignalTracker`.
        loader: As in `SignalTracker`.
        num_samples: As in `SignalTracker`.
        ignore_index: As in `SignalTracker`.

    Attributes:
        stopped_epoch: The epoch whose weights the module has after the stop; None if it was not stopped.

    Raises:
        ValueError: A number is below 1.

    Example:
        >>> EarlyMemorizationStop(patience=2).state_key
        "EarlyMemorizationStop{'monitor': 'prediction_flips'}"
    """

    def __init__(
        self,
        monitor: str = FLIPS,
        threshold: float | None = None,
        window: int = 3,
        patience: int = 3,
        restore_weights: bool = True,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        loader: str | int | None = None,
        num_samples: int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(index, target, logits, num_samples, loader=loader, ignore_index=ignore_index)
        self.monitor, self.threshold = monitor, threshold
        self.window = check_positive_int("window", window, "the epochs of the moving average, e.g. 3")
        self.patience = check_positive_int("patience", patience, "the epochs that must lie above the minimum, e.g. 3")
        self.restore_weights = restore_weights
        self.stopped_epoch: int | None = None
        self._curve: list[float] = []
        self._total = 0.0
        self._lowest, self._above = math.inf, 0
        self._candidate: int | None = None
        self._weights: dict[str, Tensor] = {}

    @property
    def state_key(self) -> str:
        """Where the checkpoint keeps this callback's state."""
        return self._generate_state_key(monitor=self.monitor)

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Count changes of the prediction."""
        return SignalSet([PredictionFlips()], num_samples)

    @property
    def _watches_flips(self) -> bool:
        return self.monitor == FLIPS

    # -- the curve ---------------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Begin to watch."""
        if self._watches_flips:
            super().setup(trainer, pl_module, stage)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Listen for the logits, where predictions are watched."""
        if self._watches_flips:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stage the predictions, where they are watched."""
        if self._watches_flips:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _value(self, trainer: Any) -> float | None:
        """This epoch's value of what is watched; None where there is none yet."""
        if not self._watches_flips:
            if self.monitor not in trainer.callback_metrics:
                known = [str(name) for name in trainer.callback_metrics]
                found = unknown_name("logged metric", self.monitor, known) if known else "nothing is logged yet"
                raise ValueError(f"`monitor={self.monitor!r}`: {found}{ORDER}")
            # What each process logs for itself may differ between them, and all must stop at once.
            value = trainer.callback_metrics[self.monitor].to(trainer.strategy.root_device)
            return float(trainer.strategy.reduce(value, reduce_op="mean"))
        flips = self.signal_set.compute()["flips"] if self.signal_set is not None else torch.empty(0)
        seen = flips.isfinite()
        if not bool(seen.any()):  # there is nothing before the first epoch to differ from
            return None
        total = float(flips[seen].sum())
        changed, self._total = total - self._total, total
        return changed

    # -- the stop ----------------------------------------------------------------------------------------------------

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Add to the curve; stop where memorization has set in."""
        if self._watches_flips:
            super().on_train_epoch_end(trainer, pl_module)
        value = self._value(trainer)
        if value is None or self.stopped_epoch is not None:
            return
        self._curve.append(value)
        if self._watches_flips:
            # All processes have the same number; Lightning wants to be told, or it warns.
            pl_module.log(FLIPS, value, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        if self._goes_on(value):
            self._candidate = trainer.current_epoch
            if self.restore_weights:
                self._weights = {name: part.detach().clone() for name, part in pl_module.state_dict().items()}
        elif self._has_set_in(value):
            self._stop(trainer, pl_module)

    def _goes_on(self, value: float) -> bool:
        """Whether this epoch is the best to stop at so far."""
        if self.threshold is not None:
            return value < self.threshold
        smooth = smoothed(self._curve, self.window)
        self._above = 0 if smooth[-1] <= self._lowest else self._above + 1
        self._lowest = min(self._lowest, smooth[-1])
        return self._above == 0

    def _has_set_in(self, value: float) -> bool:
        return self.threshold is not None or self._above >= self.patience

    def _stop(self, trainer: Any, pl_module: Any) -> None:
        trainer.should_stop = True
        self.stopped_epoch = trainer.current_epoch
        if self._weights and self._candidate is not None:
            pl_module.load_state_dict(self._weights)
            self.stopped_epoch = self._candidate
        _log.info(
            "memorization has set in by epoch %d (%s): stopped, with the weights of epoch %d",
            *(trainer.current_epoch, self.monitor, self.stopped_epoch),
        )

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the curve and the weights kept, as plain values and tensors."""
        return {
            **super().state_dict(),
            "curve": list(self._curve),
            "total": self._total,
            "lowest": self._lowest,
            "above": self._above,
            "candidate": self._candidate,
            "stopped_epoch": self.stopped_epoch,
            "weights": {name: part.cpu() for name, part in self._weights.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if "signals" in state_dict:
            super().load_state_dict(state_dict)
        self._curve, self._total = list(state_dict["curve"]), state_dict["total"]
        self._lowest, self._above = state_dict["lowest"], state_dict["above"]
        self._candidate, self.stopped_epoch = state_dict["candidate"], state_dict["stopped_epoch"]
        self._weights = dict(state_dict["weights"])
