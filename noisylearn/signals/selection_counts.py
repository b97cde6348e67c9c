"""How often a sample was chosen to learn from."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class SelectionCounts(Signal):
    """Times a sample was selected over times it was seen, in [0, 1]. Low means suspicious.

    For methods that learn from a part of each batch; with weights in place of a mask it is the mean weight, with
    several networks the mean over them. Online: it comes with the training step.

    Source: bookkeeping of small-loss selection (Han et al., "Co-teaching", NeurIPS 2018).

    Example:
        >>> import torch
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([SelectionCounts()], num_samples=2)
        >>> for epoch, selected in enumerate([[True], [False], [True], [True]]):
        ...     extras = {"selected": torch.tensor(selected)}
        ...     signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]), **extras))
        ...     _ = signals.commit(epoch)
        >>> signals.compute()["selection_rate"].tolist()
        [0.75, nan]
    """

    paper = "Han et al., Co-teaching, 2018"
    view = "online"
    formula = "times learned from / times seen"
    state = "4 bytes"
    needs = ("selected",)
    scores = (Score("selection_rate", "times selected over times seen", higher_is_noisier=False),)
    columns = (Column("selected_sum"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage whether, or with which weight, the sample was selected."""
        assert obs.selected is not None
        selected, batch = obs.selected, len(obs.targets)
        if selected.ndim not in (1, 2) or selected.shape[-1] != batch:
            raise ValueError(
                f"`selected` must be ({batch},) or (networks, {batch}), got {tuple(selected.shape)}: "
                "give one mask or weight per row of the logits"
            )
        return {"selected_sum": selected.float().view(-1, batch).mean(0)}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the rate."""
        return {"selection_rate": per_seen(state["selected_sum"], state["n_seen"])}
