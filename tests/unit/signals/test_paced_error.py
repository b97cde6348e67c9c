"""The error norm weighted by the learning rate, against a loop; and what `SignalTracker` makes of it by default."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from noisylearn.callbacks import SignalTracker
from noisylearn.signals import Observation, PacedError, SelfInfluence, SignalSet, suspicion
from tests.unit.callbacks.small import Module, N, fit


def test_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    signals, num_samples = SignalSet([PacedError()], 7), 7
    total, seen = [0.0] * num_samples, [0] * num_samples
    for epoch in range(3):
        for step in range(4):
            index = torch.randint(6, (5,), generator=generator)  # with repeats; the last row is never seen
            logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
            targets = torch.randint(3, (5,), generator=generator)
            rate = 0.1 / (1 + epoch + step)
            signals.observe(Observation(index, logits, targets, learning_rate=rate))
            for i, z, y in zip(index.tolist(), logits.tolist(), targets.tolist(), strict=True):
                e = [math.exp(v) for v in z]
                total[i] += rate * sum((v / sum(e) - (k == y)) ** 2 for k, v in enumerate(e))
                seen[i] += 1
        signals.commit(epoch)
    expected = [t / n if n else math.nan for t, n in zip(total, seen, strict=True)]
    assert signals.compute()["paced_error"].tolist() == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_it_is_self_influence_with_features_of_one_length() -> None:
    generator = torch.Generator().manual_seed(1)
    signals = SignalSet([PacedError(), SelfInfluence()], 8)
    index, targets = torch.arange(8), torch.arange(8) % 4
    for epoch in range(3):
        obs = Observation(
            index,
            torch.randn(8, 4, generator=generator),
            targets,
            features=torch.randn(8, 2, generator=generator),
            learning_rate=0.1 * (3 - epoch),
        )
        signals.observe(obs)
        signals.commit(epoch)
    scores = signals.compute()
    assert torch.allclose(scores["paced_error"] * 3, scores["self_influence_normalized"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*configure_optimizers. returned .None.")
@pytest.mark.parametrize("kind", ["number", "tensor", "none"])
def test_the_tracker_has_it_by_default_whatever_the_rate_is(kind: str) -> None:
    class Some(Module):
        def configure_optimizers(self) -> Any:
            if kind == "none":
                return None
            return torch.optim.SGD(self.parameters(), lr=torch.tensor(0.5) if kind == "tensor" else 0.5)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1])

    tracker = SignalTracker()
    fit([tracker], module=Some())
    scores = tracker.scores()
    ratio = scores["paced_error"] / scores["el2n"].square()
    assert torch.allclose(ratio, torch.full((N,), 1.0 if kind == "none" else 0.5), rtol=1e-4)
    assert suspicion(scores).isfinite().all()
