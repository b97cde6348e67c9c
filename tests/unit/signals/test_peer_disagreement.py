"""Disagreement of two networks, and the Jensen-Shannon divergence, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.peer_disagreement import PeerDisagreement, js_divergence
from tests.unit.signals.slow import softmax

QUICK = settings(deadline=None, max_examples=40)
row = st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3)


def slow_js(*logits: list[float]) -> float:
    """The mean Kullback-Leibler divergence from the mean of the predictions."""
    predictions = [softmax(z) for z in logits]
    mean = [math.fsum(p) / len(predictions) for p in zip(*predictions, strict=True)]
    terms = (p * math.log(p / m) for q in predictions for p, m in zip(q, mean, strict=True) if p > 0)
    return math.fsum(terms) / len(predictions)


@QUICK
@given(row, row, row)
def test_divergence_equals_the_loop_and_its_bounds(a: list[float], b: list[float], c: list[float]) -> None:
    logits = torch.tensor([[a], [b], [c]])
    pair = logits[:2]
    assert js_divergence(pair.double()).item() == pytest.approx(slow_js(a, b), abs=1e-12)
    assert js_divergence(pair).item() == pytest.approx(slow_js(a, b), abs=1e-6)
    assert js_divergence(logits.double()).item() == pytest.approx(slow_js(a, b, c), abs=1e-12)
    assert torch.equal(js_divergence(pair), js_divergence(pair.flip(0)))
    assert 0 <= js_divergence(pair).item() <= math.log(2) + 1e-6
    assert js_divergence(torch.tensor([[a], [a]])).item() == pytest.approx(0, abs=1e-6)


def test_rounding_leaves_no_negative_divergence() -> None:
    logits = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
    assert (js_divergence(torch.stack([logits, logits, logits])) >= 0).all()


def test_impossible_classes_and_half_precision() -> None:
    inf = math.inf
    logits = torch.tensor([[[0.0, -inf, -inf]], [[-inf, 0.0, -inf]]])
    assert js_divergence(logits).item() == pytest.approx(math.log(2))
    half = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(js_divergence(half), js_divergence(half.float()))


@QUICK
@given(st.lists(st.lists(st.tuples(st.integers(0, 2), row, row), min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_signal_equals_the_loop(epochs: list[list[tuple[int, list[float], list[float]]]]) -> None:
    signals = SignalSet([PeerDisagreement()], 4)
    seen: list[list[tuple[float, bool]]] = [[] for _ in range(4)]
    for epoch, step in enumerate(epochs):
        peers = torch.tensor([[a for _, a, _ in step], [b for _, _, b in step]])
        index = torch.tensor([i for i, _, _ in step])
        signals.observe(Observation(index, peers.mean(0), index % 3, peer_logits=peers))
        signals.commit(epoch)
        for i, a, b in step:
            seen[i].append((slow_js(a, b), a.index(max(a)) != b.index(max(b))))
    scores = signals.compute()
    for position, name in enumerate(("peer_divergence", "peer_disagreement")):
        expected = [math.fsum(look[position] for look in looks) / len(looks) if looks else math.nan for looks in seen]
        assert scores[name].tolist() == pytest.approx(expected, abs=1e-5, nan_ok=True), name


def test_wrong_arguments() -> None:
    index, logits = torch.arange(2), torch.zeros(2, 3)
    for wrong in (torch.zeros(1, 2, 3), torch.zeros(2, 3), torch.zeros(2, 5, 3)):
        with pytest.raises(ValueError, match=r"`peer_logits` must be \(networks, 2, C\) of at least two networks, got"):
            SignalSet([PeerDisagreement()], 2).observe(Observation(index, logits, index, peer_logits=wrong))
    with pytest.raises(ValueError, match=r"`peer_logits` is needed by PeerDisagreement"):
        SignalSet([PeerDisagreement()], 2).observe(Observation(index, logits, index))
