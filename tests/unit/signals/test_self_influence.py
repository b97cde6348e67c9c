"""Last-layer self-influence against the gradient that it stands for, and its sum over a run."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.self_influence import SelfInfluence, last_layer_self_influence
from tests.unit.signals.slow import softmax


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_equals_the_squared_norm_of_the_gradient(num_classes: int, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(num_classes)
    layer = torch.nn.Linear(16, num_classes, dtype=dtype)
    features = 2 * torch.randn(20, 16, generator=g, dtype=dtype)
    targets = torch.randint(0, num_classes, (20,), generator=g)
    probs = layer(features).softmax(1).detach()
    fast = last_layer_self_influence(probs, targets, features)
    for i in range(20):
        loss = F.cross_entropy(layer(features[i : i + 1]), targets[i : i + 1])
        gradients = torch.autograd.grad(loss, list(layer.parameters()))
        squared = sum(gradient.square().sum().item() for gradient in gradients)
        assert fast[i].item() == pytest.approx(squared, rel=1e-5, abs=1e-7)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16))
def test_the_sum_over_a_run_equals_the_slow_loop(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    signals = SignalSet([SelfInfluence()], 5)
    expected = {"self_influence": [0.0] * 4, "self_influence_normalized": [0.0] * 4}
    for epoch in range(3):
        rate = 0.1 / (epoch + 1)
        index = torch.randint(0, 4, (6,), generator=g)  # with repeats; row 4 never comes
        logits, features = 3 * torch.randn(6, 3, generator=g), torch.randn(6, 2, 2, generator=g)
        targets = index % 3
        signals.observe(Observation(index, logits, targets, features=features, learning_rate=rate))
        signals.commit(epoch)
        for i, z, h in zip(
            index.tolist(), logits.double().tolist(), features.double().flatten(1).tolist(), strict=True
        ):
            error = [p - (k == i % 3) for k, p in enumerate(softmax(z))]
            squared = sum(e * e for e in error)
            expected["self_influence"][i] += rate * squared * (sum(v * v for v in h) + 1)
            expected["self_influence_normalized"][i] += rate * squared
    seen = signals.table.views()["n_seen"] > 0
    for name, values in signals.compute().items():
        want = [v if s else math.nan for v, s in zip([*expected[name], 0.0], seen.tolist(), strict=True)]
        assert values.tolist() == pytest.approx(want, rel=1e-4, abs=1e-6, nan_ok=True), name


def test_what_is_missing_is_named() -> None:
    signals = SignalSet([SelfInfluence()], 1)
    with pytest.raises(ValueError, match=r"`features` is needed by SelfInfluence"):
        signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]), learning_rate=0.1))
