"""The signals of a sample's history of predictions, against loops over that history."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.signals import FirstKLearned, Fluctuation, Forgetting, Observation, PredictionFlips, SignalSet

CLASSES = 3


def scores_of(histories: list[list[int]], k: int = 2) -> dict[str, list[float]]:
    """Scores of samples with given label 0, from the classes predicted at each presentation (-1: not seen)."""
    signals = SignalSet([FirstKLearned(k), PredictionFlips(), Fluctuation(k), Forgetting()], len(histories))
    for epoch in range(max(map(len, histories))):
        rows = [i for i, h in enumerate(histories) if epoch < len(h) and h[epoch] >= 0]
        if rows:
            logits = 2 * torch.eye(CLASSES)[[histories[i][epoch] for i in rows]]
            signals.observe(Observation(torch.tensor(rows), logits, torch.zeros(len(rows), dtype=torch.int64)))
        signals.commit(epoch)
    return {name: value.tolist() for name, value in signals.compute().items()}


def first_k_learned(predicted: list[int], k: int) -> float:
    for end in range(k, len(predicted) + 1):
        if all(c == 0 for c in predicted[end - k : end]):
            return end - 1
    return math.nan


def flips(predicted: list[int]) -> float:
    return sum(a != b for a, b in pairwise(predicted)) if len(predicted) > 1 else math.nan


def steadiness(predicted: list[int], k: int) -> float:
    if len(predicted) <= k:
        return math.nan
    confidence = math.exp(2) / (math.exp(2) + CLASSES - 1)
    fell = predicted[-2] == 0 and predicted[-1] != 0
    return (sum(confidence for c in predicted[-k:] if c == 0) + 1 - fell) / (k + 1)


histories = st.lists(st.lists(st.integers(-1, CLASSES - 1), min_size=1, max_size=9), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(1, 3))
def test_any_history_equals_the_loop(predicted: list[list[int]], k: int) -> None:
    scores = scores_of(predicted, k)
    for i, history in enumerate(predicted):
        seen = [c for c in history if c >= 0]
        assert scores["first_k_learned"][i] == pytest.approx(first_k_learned(seen, k), nan_ok=True)
        assert scores["flips"][i] == pytest.approx(flips(seen), nan_ok=True)
        assert scores["steadiness"][i] == pytest.approx(steadiness(seen, k), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("pattern", "two", "three"), [("00110111", 3, 7), ("111111", 1, 2), ("000000", math.nan, math.nan)]
)
def test_golden_first_k_learned(pattern: str, two: float, three: float) -> None:
    predicted = [[0 if a == "1" else 1 for a in pattern]]
    assert scores_of(predicted, 2)["first_k_learned"] == pytest.approx([two], nan_ok=True)
    assert scores_of(predicted, 3)["first_k_learned"] == pytest.approx([three], nan_ok=True)


def test_a_sample_that_was_never_right_is_not_selected() -> None:
    assert scores_of([[1, 2, 1, 1]])["steadiness"] == pytest.approx([1 / 3])


def test_the_authors_confidence_is_the_largest_logit() -> None:
    signals = SignalSet([Fluctuation(2, legacy_max_logit=True)], 1)
    for epoch, logits in enumerate([[9.0, 0.0], [3.0, 1.0], [4.0, 5.0], [6.0, -1.0]]):
        signals.observe(Observation(torch.tensor([0]), torch.tensor([logits]), torch.tensor([0])))
        signals.commit(epoch)
        found = signals.compute()["steadiness"].item()
        expected = {2: (3 + 0 + 1 - 1) / 3, 3: (0 + 6 + 1) / 3}.get(epoch, math.nan)
        assert found == pytest.approx(expected, nan_ok=True)


def test_sharing_columns_with_the_forgetting_signal_costs_nothing_twice() -> None:
    alone = SignalSet([Forgetting()], 1).table.bytes_per_sample[0]
    both = SignalSet([Forgetting(), FirstKLearned()], 1).table.bytes_per_sample[0]
    assert both == alone + 4


@pytest.mark.parametrize("signal", [FirstKLearned, Fluctuation])
def test_k_below_one_is_refused(signal: type[FirstKLearned | Fluctuation]) -> None:
    with pytest.raises(ValueError, match="`k` must be at least 1, got 0"):
        signal(0)
