"""The rule of Self-Filtering against a slow loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import label_confidence, self_filtering_score

QUICK = settings(deadline=None, max_examples=60)
entry = st.one_of(st.just(0.0), st.floats(0.1, 1))
memories = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.lists(entry, min_size=k, max_size=k), min_size=1, max_size=8)
)


def slow(row: list[float]) -> float:
    steady = 0 if row[-2] > row[-1] and row[-1] == 0 else 1
    return (sum(row) + steady) / (len(row) + 1)


@QUICK
@given(memories)
def test_equals_the_slow_loop(rows: list[list[float]]) -> None:
    memory = torch.tensor(rows, dtype=torch.float64)
    assert self_filtering_score(memory).tolist() == pytest.approx([slow(row) for row in rows])
    assert self_filtering_score(memory.float()).dtype == torch.float32


@QUICK
@given(memories)
def test_a_label_that_was_just_forgotten_is_not_selected_and_one_never_predicted_neither(
    rows: list[list[float]],
) -> None:
    memory = torch.tensor(rows, dtype=torch.float64)[:, -2:].clone()
    memory[:, -1] = 0
    assert not (self_filtering_score(memory) > 0.5).any()


def test_confidence_is_the_labels_probability_where_it_is_predicted() -> None:
    probs = torch.tensor([[0.2, 0.8], [0.8, 0.2], [0.5, 0.5]], dtype=torch.float64)
    confidence = label_confidence(probs, torch.tensor([1, 1, 0]))
    assert confidence.tolist() == [0.8, 0.0, 0.5]
    assert confidence.dtype == torch.float64


def test_reads_no_value() -> None:
    probs, targets = torch.rand(4, 3, device="meta"), torch.zeros(4, dtype=torch.int64, device="meta")
    assert label_confidence(probs, targets).shape == (4,)
    assert self_filtering_score(torch.rand(4, 2, device="meta")).shape == (4,)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`probs` and `targets` must be \(B, C\) and \(B,\), got \(4, 3\) and \(3,\)"):
        label_confidence(torch.rand(4, 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"`memory` must be \(N, k\) with k of at least 2, got \(4, 1\): keep two"):
        self_filtering_score(torch.rand(4, 1))
