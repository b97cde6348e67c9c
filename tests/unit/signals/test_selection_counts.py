"""Selection rate: masks, weights and several networks, against a count."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.selection_counts import SelectionCounts


def observe(signals: SignalSet, index: list[int], selected: torch.Tensor) -> None:
    targets = torch.zeros(len(index), dtype=torch.int64)
    signals.observe(Observation(torch.tensor(index), torch.zeros(len(index), 2), targets, selected=selected))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([torch.bool, torch.float32, torch.float64, torch.int64]),
    st.booleans(),
)
def test_equals_the_count(epochs: list[list[tuple[int, bool, bool]]], dtype: torch.dtype, two_networks: bool) -> None:
    """A sample may be repeated within a step; sample 4 never comes."""
    signals = SignalSet([SelectionCounts()], 5)
    shares: list[list[float]] = [[] for _ in range(5)]
    for epoch, step in enumerate(epochs):
        masks = [[a for _, a, _ in step], [b for _, _, b in step]] if two_networks else [a for _, a, _ in step]
        observe(signals, [i for i, _, _ in step], torch.tensor(masks).to(dtype))
        signals.commit(epoch)
        for i, a, b in step:
            shares[i].append((a + b) / 2 if two_networks else float(a))
    expected = [sum(row) / len(row) if row else math.nan for row in shares]
    assert signals.compute()["selection_rate"].tolist() == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_weights_are_averaged_and_a_step_may_be_of_half_precision() -> None:
    signals = SignalSet([SelectionCounts()], 1)
    for epoch, weight in enumerate([0.25, 0.75, 0.5]):
        observe(signals, [0], torch.tensor([weight], dtype=torch.bfloat16, requires_grad=True))
        signals.commit(epoch)
    assert signals.compute()["selection_rate"].tolist() == [0.5]


def test_wrong_arguments() -> None:
    signals = SignalSet([SelectionCounts()], 3)
    with pytest.raises(ValueError, match=r"`selected` must be \(2,\) or \(networks, 2\), got \(2, 3\): give one mask"):
        observe(signals, [0, 1], torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"`selected` is needed by SelectionCounts"):
        signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0])))
