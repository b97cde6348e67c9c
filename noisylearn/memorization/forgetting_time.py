"""When a sample is forgotten for good: the time itself, and the signal that keeps it without a history."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals import Observation, Score, Signal
from noisylearn.tables import Column, Views


def forgetting_time(correct: Tensor) -> Tensor:
    """Return the first epoch from which on a sample is always wrong, counted from 0.

    Args:
        correct: ``(T, N)`` bool, whether each sample was classified as given after each epoch.

    Returns:
        ``(N,)`` float32 in ``0..T-1``; infinity where the sample is right after the last epoch: not forgotten is a
        category, not a late time, and no mean should be taken over it.

    Raises:
        TypeError: ``correct`` is not bool.
        ValueError: It is not ``(T, N)`` with ``T`` at least 1.

    Source: Maini et al., "Characterizing Datapoints via Second-Split Forgetting", NeurIPS 2022; their code counts from
    1 and writes ``T + 1`` for infinity.

    Example:
        >>> forgetting_time(torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 0]]).bool()).tolist()
        [2.0, inf, 0.0]
    """
    if correct.dtype != torch.bool:
        raise TypeError(f"`correct` must be bool, got {correct.dtype}: pass prediction == given label")
    if correct.ndim != 2 or len(correct) == 0:
        raise ValueError(f"`correct` must be (T, N) with at least one epoch, got shape {tuple(correct.shape)}")
    epochs = torch.arange(1, len(correct) + 1, device=correct.device)[:, None]
    return _time((correct * epochs).amax(0), len(correct))


def _time(right_until: Tensor, epochs: Tensor | int) -> Tensor:
    """From one past the last right epoch, 0 where there was none."""
    return right_until.float().where(right_until < epochs, torch.inf)


class ForgettingTime(Signal):
    """The first look from which on a sample is always wrong. Low means suspicious.

    Looks are counted from 0; a sample that is right at the last one has infinity. It is second-split forgetting time
    where the looks are sweeps while the network trains on *other* samples: a wrong label that was learned by heart goes
    first, a rare sample later, a typical one never. `noisylearn.memorization.second_split` does all of it.

    Source: Maini et al., "Characterizing Datapoints via Second-Split Forgetting", NeurIPS 2022; equal to
    `forgetting_time` of the history, which is not kept.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([ForgettingTime()], num_samples=1)
        >>> for epoch, right in enumerate([1, 1, 0, 1, 0, 0]):
        ...     logits = torch.tensor([[0.0, 1.0 if right else -1.0]])
        ...     signals.observe(Observation(torch.tensor([0]), logits, torch.tensor([1])))
        ...     _ = signals.commit(epoch)
        >>> signals.compute()["forgetting_time"].item()
        4.0
    """

    paper = "Maini et al., Second-Split Forgetting, 2022"
    view = "sweep"
    formula = "`min {t : prediction != g at every look from t on}`, infinity where the last look was right"
    cost = "sweeps over the first half while the network trains on the second (`second_split`: two phases, twice)"
    state = "4 bytes"
    scores = (Score("forgetting_time", "look from which on the sample is always wrong", higher_is_noisier=False),)
    columns = (
        Column("presentations", torch.int16, merge="ordered"),
        Column("right_until", torch.int16, merge="ordered"),
    )
    observed = (Column("first_correct", torch.int16, merge="first"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage whether the prediction was right."""
        return {"first_correct": obs.correct}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Apply one look."""
        looks = state["presentations"].int() + 1
        return {
            "presentations": looks,
            "right_until": torch.where(staged["first_correct"] != 0, looks, state["right_until"].int()),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the time, NaN where there was no look."""
        time = _time(state["right_until"], state["presentations"])
        return {"forgetting_time": time.where(state["n_seen"] > 0, torch.nan)}
