"""Data Maps: confidence, variability, correctness, and the wrong-event count."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class DataMaps(Signal):
    """Mean and spread of the given label's probability, and how often the prediction was right or wrong.

    Low confidence with low variability is the corner of the map where label errors gather; high variability is
    ambiguity. ``variability`` is the population standard deviation, accumulated by Chan's parallel form of Welford's
    method; where a sampler repeats a sample within an epoch, float32 leaves it an error of up to 3e-4. ``wrong_events``
    counts presentations predicted otherwise than given.

    Source: Swayamdipta et al., "Dataset Cartography", EMNLP 2020 (without its optional confidence-interval term);
    wrong events: the IDO method, 2025.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([DataMaps()], num_samples=1)
        >>> for epoch, logit in enumerate([0.0, 50.0]):
        ...     obs = Observation(torch.tensor([0]), torch.tensor([[0.0, logit]]), torch.tensor([1]))
        ...     signals.observe(obs)
        ...     _ = signals.commit(epoch)
        >>> {k: round(v.item(), 3) for k, v in signals.compute().items()}
        {'wrong_events': 1.0, 'confidence': 0.75, 'variability': 0.25, 'correctness': 1.0}
    """

    paper = "Swayamdipta et al., Dataset Cartography, 2020; IDO, 2025"
    view = "either"
    formula = "`mean_t p_g`, `std_t p_g`, `sum_t [prediction = g]`, and its complement"
    state = "10 bytes"
    scores = (
        Score("wrong_events", "presentations predicted otherwise than given", higher_is_noisier=True),
        Score("confidence", "mean probability of the given label", higher_is_noisier=False),
        Score("variability", "standard deviation of that probability", higher_is_noisier=None),
        Score("correctness", "presentations predicted as given", higher_is_noisier=False),
    )
    columns = (
        Column("correct", torch.int16),
        Column("confidence_mean", merge="ordered"),
        Column("confidence_m2", merge="ordered"),
    )
    observed = (Column("confidence_sum"), Column("confidence_square_sum"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the probability, its square and whether the prediction was right."""
        p = obs.confidence
        return {"correct": obs.correct, "confidence_sum": p, "confidence_square_sum": p * p}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Merge the staged mean and spread into the running ones (Chan et al., 1979)."""
        n_old, n_new = state["n_seen"].float(), staged["n_seen"].clamp(min=1).float()
        total = n_old + n_new
        mean = staged["confidence_sum"] / n_new
        m2 = (staged["confidence_square_sum"] - mean * staged["confidence_sum"]).clamp(min=0)
        delta = mean - state["confidence_mean"]
        return {
            "confidence_mean": state["confidence_mean"] + delta * (n_new / total),
            "confidence_m2": state["confidence_m2"] + m2 + delta * delta * (n_old * n_new / total),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the map's coordinates and both counts."""
        n_seen = state["n_seen"]
        seen = n_seen > 0
        return {
            "wrong_events": (n_seen - state["correct"]).float().where(seen, torch.nan),
            "confidence": state["confidence_mean"].where(seen, torch.nan),
            "variability": per_seen(state["confidence_m2"], n_seen).sqrt(),
            "correctness": state["correct"].float().where(seen, torch.nan),
        }
