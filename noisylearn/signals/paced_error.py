"""The error norm, weighted by the learning rate it is met with."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.el2n import el2n
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class PacedError(Signal):
    """Squared EL2N weighted by the step's learning rate, averaged over presentations. High means suspicious.

    Schedules end at a low rate, and networks memorize at the end: the weight keeps the time before that, without a
    window to choose. It is the last-layer self-influence (`SelfInfluence`) with features of one length, and needs no
    features. The rate is that of the parameter group which holds the layer making the logits, before the step; where
    that layer is not to be seen, as in a sweep, the largest of the groups.

    Source: TracIn (Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS 2020) has
    these weights; the error norm is that of Paul et al., NeurIPS 2021.

    Example:
        >>> import torch
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([PacedError()], num_samples=1)
        >>> obs = Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]), learning_rate=0.1)
        >>> signals.observe(obs)
        >>> _ = signals.commit(epoch=0)
        >>> round(signals.compute()["paced_error"].item(), 4)
        0.05
    """

    paper = "Pruthi et al., TracIn, 2020; Paul et al., Data Diet, 2021"
    view = "either"
    formula = "`mean_t lr_t || p - onehot(g) ||^2`"
    state = "4 bytes"
    wants = ("learning_rate",)
    scores = (Score("paced_error", "mean squared error norm, weighted by the learning rate", higher_is_noisier=True),)
    columns = (Column("paced_error_sum"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the weighted square; without a rate all steps weigh alike."""
        square = el2n(obs.probs, obs.targets).square()
        return {"paced_error_sum": square if obs.learning_rate is None else obs.learning_rate * square}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean."""
        return {"paced_error": per_seen(state["paced_error_sum"], state["n_seen"])}
