"""First-time k-epoch learning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class FirstKLearned(Signal):
    """The first presentation that ends ``k`` right ones in a row. High means suspicious.

    It tells clean but hard samples, which are learned late and then kept, from wrong labels, which come and go while
    the network still generalises. Presentations are counted from 0, one per epoch (the first of an epoch, where a
    sampler repeats a sample); NaN while there were no ``k`` right ones in a row. State: a streak and a number, instead
    of the history of predictions that the authors' code keeps.

    Source: Yuan et al., "Late Stopping: Avoiding Confidently Learning from Mislabeled Examples", ICCV 2023, which
    measures it in sweeps with ``k`` rising from 1 to 4 and ignores epochs up to 6; here it is measured online.

    Args:
        k: Right presentations in a row.

    Raises:
        ValueError: ``k`` is below 1.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([FirstKLearned(k=2)], num_samples=1)
        >>> for epoch, right in enumerate([0, 0, 1, 1, 0, 1]):
        ...     logits = torch.tensor([[0.0, 1.0 if right else -1.0]])
        ...     signals.observe(Observation(torch.tensor([0]), logits, torch.tensor([1])))
        ...     _ = signals.commit(epoch)
        >>> signals.compute()["first_k_learned"].item()
        3.0
    """

    paper = "Yuan et al., Late Stopping, 2023"
    view = "either"
    formula = "the first presentation that ends `k` in a row with `prediction = g`"
    state = "6 bytes"
    scores = (Score("first_k_learned", "presentation that ends the first k right in a row", higher_is_noisier=True),)
    columns = (
        Column("presentations", torch.int16, merge="ordered"),
        Column("right_in_a_row", torch.int16, merge="ordered"),
        Column("first_k_learned", torch.int16, merge="ordered", initial=-1),
    )
    observed = (Column("first_correct", torch.int16, merge="first"),)

    def __init__(self, k: int = 2) -> None:
        self.k = check_positive_int("k", k, "the right presentations in a row that count as learned")

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage whether the prediction was right."""
        return {"first_correct": obs.correct}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Apply one presentation."""
        t, first = state["presentations"], state["first_k_learned"]
        streak = torch.where(staged["first_correct"] != 0, state["right_in_a_row"].int() + 1, 0)
        return {
            "presentations": t.int() + 1,
            "right_in_a_row": streak,
            "first_k_learned": torch.where((first < 0) & (streak >= self.k), t, first),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the presentation, NaN where it has not come."""
        first = state["first_k_learned"].float()
        return {"first_k_learned": first.where(first >= 0, torch.nan)}
