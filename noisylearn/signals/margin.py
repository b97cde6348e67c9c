"""Area under the margin."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class Margin(Signal):
    """Mean logit margin of the given label over all presentations (AUM). Low means suspicious.

    It is a running mean of raw-logit margins in train mode, before the step. Margins of all samples grow once the
    network has memorized its labels, so a run meant for AUM stops before the learning rate first drops.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020; equal
    to the reference's running mean over presentations.

    Example:
        >>> import torch
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([Margin()], num_samples=2)
        >>> for logits in ([[2.0, 0.0]], [[0.0, 1.0]]):
        ...     signals.observe(Observation(torch.tensor([0]), torch.tensor(logits), torch.tensor([0])))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["aum"].tolist()
        [0.5, nan]
    """

    paper = "Pleiss et al., Area Under the Margin, 2020"
    view = "either"
    formula = "`z_g - max_{k != g} z_k` on raw logits, averaged over presentations"
    state = "4 bytes"
    scores = (Score("aum", "mean logit margin of the given label", higher_is_noisier=False),)
    columns = (Column("margin_sum"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the margin."""
        return {"margin_sum": obs.margin}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean margin."""
        return {"aum": per_seen(state["margin_sum"], state["n_seen"])}
