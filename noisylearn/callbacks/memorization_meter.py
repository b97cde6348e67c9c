"""`MemorizationMeter`: how many wrong labels the network has learned by heart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.observing import ObservingCallback
from noisylearn.metrics.memorization import UNKNOWN, memorized_fraction
from noisylearn.signals import GivenLabel, Observation, Score, Signal, SignalSet
from noisylearn.tables import Column, Views


class LastPrediction(Signal):
    """The class predicted at the last presentation.

    Example:
        >>> signals = SignalSet([LastPrediction()], num_samples=1)
        >>> signals.observe(Observation(torch.tensor([0]), torch.tensor([[0.0, 1.0]]), torch.tensor([0])))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["prediction"].item()
        1.0
    """

    paper = "Liu et al., Early-Learning Regularization, 2020, Figure 1"
    scores = (Score("prediction", "class predicted at the last presentation", higher_is_noisier=None),)
    columns = (Column("prediction", torch.int16, merge="last", initial=-1),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the predicted class."""
        return {"prediction": obs.prediction}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the class as a float."""
        return {"prediction": state["prediction"].float().where(state["n_seen"] > 0, torch.nan)}


class MemorizationMeter(ObservingCallback):
    """Logs, each epoch, what the network makes of wrongly labelled samples: the picture of memorization.

    On samples whose given label is wrong: ``memorized`` (predicted as given), ``correct_on_wrong`` (predicted as the
    true label) and ``other_on_wrong``; on the rest ``correct_on_right``. Predictions are the training step's own
    (train mode, augmented inputs); only samples seen in the epoch count, each once, also on several processes.

    Source: Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels", NeurIPS 2020, Figure 1
    (which sweeps the training set in evaluation mode instead).

    Args:
        clean_targets: ``(N,)`` true labels, -1 where unknown. By default the DataModule's ``clean_targets``. They stay
            in this callback: no batch and no method ever has them.
        index: As in `SignalTracker`.
        target: As in `SignalTracker`.
        logits: As in `SignalTracker`.
        num_samples: As in `SignalTracker`.
        loader: As in `SignalTracker`.
        ignore_index: As in `SignalTracker`.

    Example:
        >>> MemorizationMeter(clean_targets=[0, 1, 1]).state_key
        'MemorizationMeter'
    """

    def __init__(
        self,
        clean_targets: Any = None,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        num_samples: int | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(index, target, logits, num_samples, loader=loader, ignore_index=ignore_index)
        self._clean_given = clean_targets
        self._all_clean = torch.empty(0)
        self._clean: Tensor | None = None

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Keep the last prediction and the given label."""
        return SignalSet([LastPrediction(), GivenLabel()], num_samples)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the true labels, before any training.

        Raises:
            TypeError: They are not integers.
            ValueError: There are none, or one is below -1.
        """
        super().on_train_start(trainer, pl_module)
        self._all_clean, self._clean = self._true_labels(trainer), None

    def _true_labels(self, trainer: Any) -> Tensor:
        given = self._clean_given
        if given is None:
            given = getattr(trainer.datamodule, "clean_targets", None)
        clean = torch.as_tensor([] if given is None else given).cpu()
        if not (clean != UNKNOWN).any():
            raise ValueError(
                "`clean_targets` is needed to tell wrong labels from right ones, and no true label is known: pass "
                "them, or use a DataModule that has them, or leave MemorizationMeter out"
            )
        if clean.is_floating_point() or clean.ndim != 1:
            found = f"{tuple(clean.shape)} {clean.dtype}"
            raise TypeError(f"`clean_targets` must be (N,) class ids, got {found}: pass integers, -1 where unknown")
        if int(clean.min()) < UNKNOWN:
            raise ValueError(f"`clean_targets` must be at least -1, got {int(clean.min())}: -1 means unknown")
        return clean.long()

    def _prepare(self, trainer: Any, obs: Observation) -> None:
        super()._prepare(trainer, obs)
        self._match(obs.logits.device)

    def _match(self, device: torch.device) -> None:
        """Bring the true labels into the order of the rows."""
        assert self.signal_set is not None
        if len(self.keys):
            raise ValueError(
                "`clean_targets` are known by row number, and these samples have names (strings): number them in the "
                "dataset, or leave MemorizationMeter out"
            )
        clean = self.per_row(self._all_clean)
        if clean is None:
            raise ValueError(
                f"`clean_targets` must have one label per training sample ({self.signal_set.table.num_samples}), "
                f"got {len(self._all_clean)}: pass the true labels of the whole training set"
            )
        self._clean = clean.index_fill(0, self.planted, UNKNOWN).to(device)  # wrong on purpose is not what is measured

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log the fractions over the samples seen in this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.signal_set is None:  # no step has given logits yet
            return
        if self._clean is None:  # resumed from a checkpoint of an epoch that was over but for this
            loader = self._reader.recorder.tracked_loader()
            self._prepare_rows(trainer, loader, self._num_classes, pl_module.device)
            self._match(pl_module.device)
        assert self._clean is not None
        state = self.signal_set.table.views()
        rows = (state["last_epoch"] == self._epoch(trainer)).nonzero()[:, 0]
        found = memorized_fraction(state["prediction"][rows].long(), state["given"][rows].long(), self._clean[rows])
        names = ("memorized", "correct_on_wrong", "other_on_wrong", "correct_on_right")
        # All processes have the same numbers; Lightning wants to be told, or it warns.
        values = {name: getattr(found, name) for name in names}
        pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
