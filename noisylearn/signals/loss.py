"""Statistics of a sample's loss: last, mean, exponential moving average, cumulative."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class LossStatistics(Signal):
    """Last, mean, moving average and sum of the plain cross-entropy. High means suspicious.

    The loss is cross-entropy against the given label whatever the objective is, clipped so that one divergent batch
    does not rule the sum. ``last`` and the moving average count an epoch once: where a sampler draws a sample several
    times between two commits, they take the mean over these presentations.

    Source: cumulative sample loss: Ravikumar et al., 2025; moving average: initialised with the first value.

    Args:
        decay: Weight of the past in the moving average.
        max_loss: Losses are clipped here; the default is the loss of a probability of 1e-6.

    Raises:
        ValueError: ``decay`` is not in ``[0, 1]``, or ``max_loss`` not positive.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([LossStatistics(decay=0.5)], num_samples=1)
        >>> for epoch, logit in enumerate([0.0, 2.0]):
        ...     obs = Observation(torch.tensor([0]), torch.tensor([[0.0, logit]]), torch.tensor([1]))
        ...     signals.observe(obs)
        ...     _ = signals.commit(epoch)
        >>> {k: round(v.item(), 3) for k, v in signals.compute().items()}
        {'loss_mean': 0.41, 'loss_last': 0.127, 'loss_ema': 0.41, 'loss_cumulative': 0.82}
    """

    paper = "Ravikumar et al., Cumulative Sample Loss, 2025"
    view = "either"
    formula = "`l = -log p_g`: last, mean, sum, and `ema <- b ema + (1 - b) l`"
    state = "12 bytes"
    scores = (
        Score("loss_mean", "mean cross-entropy", higher_is_noisier=True),
        Score("loss_last", "cross-entropy at the last presentation", higher_is_noisier=True),
        Score("loss_ema", "moving average of the cross-entropy", higher_is_noisier=True),
        Score("loss_cumulative", "sum of the cross-entropy", higher_is_noisier=True),
    )
    columns = (
        Column("loss_sum"),
        Column("loss_last", merge="ordered"),
        Column("loss_ema", merge="ordered"),
    )

    def __init__(self, decay: float = 0.9, max_loss: float = 13.8) -> None:
        self.decay = check_probability("decay", decay, "it is the weight of the past, e.g. 0.9")
        if not max_loss > 0:
            raise ValueError(f"`max_loss` must be positive, got {max_loss}: the default is the loss of p = 1e-6")
        self.max_loss = max_loss

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the clipped loss."""
        return {"loss_sum": obs.loss.clamp(max=self.max_loss)}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Move ``last`` and the average on by one epoch."""
        loss = staged["loss_sum"] / staged["n_seen"].clamp(min=1)
        ema = self.decay * state["loss_ema"] + (1 - self.decay) * loss
        return {"loss_last": loss, "loss_ema": torch.where(state["n_seen"] == 0, loss, ema)}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the four statistics."""
        seen = state["n_seen"] > 0
        return {
            "loss_mean": per_seen(state["loss_sum"], state["n_seen"]),
            "loss_last": state["loss_last"].where(seen, torch.nan),
            "loss_ema": state["loss_ema"].where(seen, torch.nan),
            "loss_cumulative": state["loss_sum"].where(seen, torch.nan),
        }
