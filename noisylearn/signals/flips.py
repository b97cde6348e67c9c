"""How often the prediction of a sample changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class PredictionFlips(Signal):
    """Presentations at which the predicted class was another than the time before. High means suspicious.

    Whether the prediction is right does not matter, so it needs no trust in the label. Summed over all samples, the
    flips of an epoch are the curve whose first minimum Label Wave stops at. One presentation an epoch counts (the
    first, where a sampler repeats a sample); a sample seen once has no flip to count and is NaN.

    Source: Yuan et al., "Early Stopping Against Label Noise Without Validation Data", ICLR 2024 (Label Wave).

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([PredictionFlips()], num_samples=1)
        >>> for epoch, predicted in enumerate([0, 2, 2, 1]):
        ...     logits = torch.eye(3)[[predicted]]
        ...     signals.observe(Observation(torch.tensor([0]), logits, torch.tensor([0])))
        ...     _ = signals.commit(epoch)
        >>> signals.compute()["flips"].item()
        2.0
    """

    paper = "Yuan et al., Label Wave, 2024"
    view = "either"
    formula = "`sum_t [prediction_t != prediction_{t-1}]`"
    state = "4 bytes"
    scores = (Score("flips", "times the predicted class changed", higher_is_noisier=True),)
    columns = (
        Column("flips", torch.int16, merge="ordered", initial=-1),
        Column("previous_prediction", torch.int16, merge="ordered", initial=-1),
    )
    observed = (Column("first_prediction", torch.int16, merge="first"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the predicted class."""
        return {"first_prediction": obs.prediction}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Apply one presentation; a count begins at 0 with the second."""
        predicted, before = staged["first_prediction"], state["previous_prediction"]
        count = state["flips"].int().clamp(min=0) + (predicted != before)
        return {"flips": torch.where(before >= 0, count, -1), "previous_prediction": predicted}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the count, NaN for a sample seen less than twice."""
        flips = state["flips"].float()
        return {"flips": flips.where(flips >= 0, torch.nan)}
