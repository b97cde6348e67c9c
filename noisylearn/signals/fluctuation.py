"""Fluctuation: was the sample just right, and now wrong?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class Fluctuation(Signal):
    """Recent confidence in the given label, less where a right prediction has just turned wrong. Low is suspicious.

    ``(c_1 + ... + c_k + 1 - f) / (k + 1)`` where ``c`` is the confidence of each of the last ``k`` presentations where
    the prediction was right and 0 where it was wrong, and ``f`` is 1 if the last presentation was wrong and the one
    before right. Self-Filtering learns from samples above 0.5. A sample that was never right has ``1 / (k + 1)``; one
    seen less than ``k + 1`` times is NaN. One presentation an epoch counts (the first, where a sampler repeats one).

    Source: Wei et al., "Self-Filtering: A Noise-Aware Sample Selection for Label Noise with Confidence Penalization",
    ECCV 2022. The confidence is a probability here; the authors' code takes the largest logit for it, so that its
    scores exceed 1, and measures in sweeps.

    Args:
        k: Presentations that are averaged; the authors' 2.
        legacy_max_logit: Take the largest logit for the confidence, as the authors' code does.

    Raises:
        ValueError: ``k`` is below 1.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([Fluctuation(k=2)], num_samples=1)
        >>> for epoch, right in enumerate([1, 1, 0]):
        ...     logits = torch.tensor([[0.0, 30.0 if right else -30.0]])
        ...     signals.observe(Observation(torch.tensor([0]), logits, torch.tensor([1])))
        ...     _ = signals.commit(epoch)
        >>> round(signals.compute()["steadiness"].item(), 3)
        0.333
    """

    paper = "Wei et al., Self-Filtering, 2022"
    view = "either"
    formula = (
        "`(sum of the last k values of p_g [prediction = g] + 1 - f) / (k + 1)`, "
        "`f = 1` where it has just fallen from right to wrong"
    )
    state = "4 k + 6 bytes"
    scores = (Score("steadiness", "recent confidence, less after a fall", higher_is_noisier=False),)

    def __init__(self, k: int = 2, legacy_max_logit: bool = False) -> None:
        self.k = check_positive_int("k", k, "the presentations that are averaged, e.g. 2")
        self.legacy_max_logit = legacy_max_logit
        self.columns = (
            Column("recent_confidence", width=k, merge="ordered"),
            Column("presentations", torch.int16, merge="ordered"),
            Column("was_correct", torch.int16, merge="ordered"),
            Column("just_fell", torch.int16, merge="ordered"),
        )
        self.observed = (
            Column("first_correct", torch.int16, merge="first"),
            Column("first_confidence", merge="first"),
        )

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage whether the prediction was right, and the confidence."""
        confidence = obs.logits.amax(1) if self.legacy_max_logit else obs.confidence
        return {"first_correct": obs.correct, "first_confidence": confidence}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Apply one presentation."""
        right = staged["first_correct"] != 0
        now = (staged["first_confidence"] * right)[:, None]
        recent = state["recent_confidence"].view(len(now), self.k)
        kept = torch.cat([recent[:, 1:], now], 1)
        return {
            "recent_confidence": kept if self.k > 1 else kept[:, 0],
            "presentations": state["presentations"].int() + 1,
            "was_correct": right.to(torch.int16),
            "just_fell": (state["was_correct"] != 0) & ~right,
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean, NaN for a sample seen less than k + 1 times."""
        recent = state["recent_confidence"].view(len(state["n_seen"]), self.k)
        score = (recent.sum(1) + 1 - state["just_fell"].float()) / (self.k + 1)
        return {"steadiness": score.where(state["presentations"] > self.k, torch.nan)}
