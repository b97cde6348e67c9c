"""Forgetting events, never-learned samples and learning times."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class Forgetting(Signal):
    """When a sample was learned, and how often it was forgotten again.

    Presentations are counted from 0, one per epoch (the first of an epoch, where a sampler repeats a sample).

    - ``forgetting_events``: presentations wrong after a right one. Not a noise score by itself: a wrong label that was
      never learned has none, and its detection AUROC has been measured below chance.
    - ``never_learned``: 1 if it was never right, else 0. A category, never a large count.
    - ``first_learned``: the first right presentation; NaN if there was none.
    - ``learned_for_good``: one past the last wrong presentation; NaN if the last look was wrong.
    - ``learning_order``: the noise score, in [0, 1]: samples ranked by never learned, then by the time learned for
      good (still wrong counts as the time so far), then by forgetting events.

    Source: Toneva et al., "An Empirical Study of Example Forgetting", ICLR 2019; the rank keeps never-learned samples
    apart, where the authors' code gives them the number of presentations as a count.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([Forgetting()], num_samples=1)
        >>> for epoch, right in enumerate([0, 0, 1, 1, 0, 1, 1, 1]):
        ...     logits = torch.tensor([[0.0, 1.0 if right else -1.0]])
        ...     signals.observe(Observation(torch.tensor([0]), logits, torch.tensor([1])))
        ...     _ = signals.commit(epoch)
        >>> scores = signals.compute()
        >>> [scores[k].item() for k in ("forgetting_events", "first_learned", "learned_for_good")]
        [1.0, 2.0, 5.0]
    """

    paper = "Toneva et al., Example Forgetting, 2019"
    view = "either"
    formula = "`sum_t [right at t-1 and wrong at t]`; first right presentation; one past the last wrong one"
    state = "10 bytes"
    scores = (
        Score("learning_order", "rank of never learned, learned late, forgotten often", higher_is_noisier=True),
        Score("forgetting_events", "times a right prediction turned wrong", higher_is_noisier=None),
        Score("never_learned", "1 where the given label was never predicted", higher_is_noisier=True),
        Score("first_learned", "first presentation predicted as given", higher_is_noisier=True),
        Score("learned_for_good", "presentation after the last wrong one", higher_is_noisier=True),
    )
    columns = (
        Column("presentations", torch.int16, merge="ordered"),
        Column("was_correct", torch.int16, merge="ordered"),
        Column("forgetting_events", torch.int16, merge="ordered"),
        Column("first_learned", torch.int16, merge="ordered", initial=-1),
        Column("last_wrong", torch.int16, merge="ordered", initial=-1),
    )
    observed = (Column("first_correct", torch.int16, merge="first"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage whether the prediction was right."""
        return {"first_correct": obs.correct}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Apply one presentation."""
        right, t = staged["first_correct"] != 0, state["presentations"]
        forgotten = (state["was_correct"] != 0) & ~right
        return {
            "presentations": t.int() + 1,
            "was_correct": right.to(torch.int16),
            "forgetting_events": state["forgetting_events"].int() + forgotten,
            "first_learned": torch.where(right & (state["first_learned"] < 0), t, state["first_learned"]),
            "last_wrong": torch.where(right, state["last_wrong"], t),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the times, the count and the rank."""
        seen = state["n_seen"] > 0
        total = state["presentations"].float()
        events, first = state["forgetting_events"].float(), state["first_learned"].float()
        for_good = state["last_wrong"].float() + 1
        never = first < 0
        # One number that sorts as (never, time, events): events are at most half the presentations.
        order = torch.where(never, total + 1, for_good) + events / (total + 1)
        return {
            "learning_order": (order / (total + 1)).where(seen, torch.nan),
            "forgetting_events": events.where(seen, torch.nan),
            "never_learned": never.float().where(seen, torch.nan),
            "first_learned": first.where(seen & ~never, torch.nan),
            "learned_for_good": for_good.where(seen & (for_good < total), torch.nan),
        }
