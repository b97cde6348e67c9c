"""The given label itself, kept beside the scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class GivenLabel(Signal):
    """The label that came with the sample, so that an exported table says what was judged.

    Source: none; bookkeeping.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([GivenLabel()], num_samples=2)
        >>> signals.observe(Observation(torch.tensor([1]), torch.zeros(1, 3), torch.tensor([2])))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["given"].tolist()
        [nan, 2.0]
    """

    paper = ""
    view = "either"
    formula = "`g`"
    state = "2 bytes"
    scores = (Score("given", "the label in the training data", higher_is_noisier=None),)
    columns = (Column("given", torch.int16, merge="last", initial=-1),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the label."""
        return {"given": obs.targets}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the label as a float."""
        return {"given": state["given"].float().where(state["n_seen"] > 0, torch.nan)}
