"""`MemorizationMeter`: how many wrong labels the network has learned by heart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_labels
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.observing import ObservingCallback
from noisylearn.metrics import memorized_fraction
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
    ) -> None:
        super().__init__(index, target, logits)
        self._clean_given = clean_targets
        self._clean: Tensor | None = None

    def build_signals(self, num_samples: int, obs: Observation) -> SignalSet:
        """Keep the last prediction and the given label."""
        return SignalSet([LastPrediction(), GivenLabel()], num_samples)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the true labels.

        Raises:
            ValueError: There are none, or not one per sample.
        """
        super().on_train_start(trainer, pl_module)
        clean = self._clean_given
        if clean is None:
            clean = getattr(trainer.datamodule, "clean_targets", None)
        if clean is None:
            raise ValueError(
                "`clean_targets` is needed to tell wrong labels from right ones: pass it, or use a DataModule that has "
                "it; without true labels leave MemorizationMeter out"
            )
        values = torch.as_tensor(clean)
        check_labels("clean_targets", (values.cpu().numpy() + 1), max(int(values.max()) + 2, 2))
        self._clean = values.to(pl_module.device, torch.int64)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log the fractions over the samples seen in this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.signal_set is None:  # no step of this epoch gave logits
            return
        assert self._clean is not None
        state = self.signal_set.table.views()
        if len(self._clean) != len(state["given"]):
            raise ValueError(
                f"`clean_targets` must have one label per training sample ({len(state['given'])}), "
                f"got {len(self._clean)}: pass the true labels of the whole training set"
            )
        rows = (state["last_epoch"] == self._last_epoch).nonzero()[:, 0]
        fractions = memorized_fraction(
            state["prediction"][rows].long(), state["given"][rows].long(), self._clean[rows]
        )
        pl_module.log_dict(
            {
                "memorized": fractions.memorized,
                "correct_on_wrong": fractions.correct_on_wrong,
                "other_on_wrong": fractions.other_on_wrong,
                "correct_on_right": fractions.correct_on_right,
            },
            on_step=False,
            on_epoch=True,
            batch_size=1,
        )
