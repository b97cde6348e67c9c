"""Which label the network would have given."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class MeanProbability(Signal):
    """Probabilities averaged over the run: the label they suggest, and their trust in the given one.

    The average remembers what the network believed before it memorized a wrong label, for as long as that was: a method
    that resists memorization suggests well, plain cross-entropy trained to the end suggests mostly the given label
    again, right or wrong. Track a window of early epochs, or train less, where suggestions are wanted. ``suggested`` is
    its most probable class (as a float; -1 is never used, unseen is NaN).

    Source: the averaged predictions of confident learning (Northcutt et al., 2021) taken over epochs of one run
    instead of over folds.

    Args:
        num_classes: Number of classes, at least 2; the state is this many float32 per sample.

    Raises:
        ValueError: ``num_classes`` is below 2.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([MeanProbability(num_classes=2)], num_samples=1)
        >>> signals.observe(Observation(torch.tensor([0]), torch.tensor([[0.0, 3.0]]), torch.tensor([0])))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["suggested"].item()
        1.0
    """

    paper = "Northcutt et al., Confident Learning, 2021 (averaged over epochs)"
    view = "either"
    formula = "`argmax_k mean_t p_k` and its value"
    state = "4 C bytes"
    scores = (
        Score("suggested", "most probable class on average", higher_is_noisier=None),
        Score("suggested_probability", "mean probability of the suggested class", higher_is_noisier=None),
    )

    def __init__(self, num_classes: int) -> None:
        self.num_classes = check_positive_int("num_classes", num_classes)
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2, got {num_classes}: one class has nothing to suggest")
        self.columns = (Column("probability_sum", width=num_classes),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the probabilities."""
        if obs.logits.shape[1] != self.num_classes:
            raise ValueError(
                f"`logits` must have {self.num_classes} columns, got {obs.logits.shape[1]}: "
                "build MeanProbability with the network's number of classes"
            )
        return {"probability_sum": obs.probs}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the suggested class and its mean probability."""
        best, label = state["probability_sum"].max(1)
        return {
            "suggested": label.float().where(state["n_seen"] > 0, torch.nan),
            "suggested_probability": per_seen(best, state["n_seen"]),
        }
