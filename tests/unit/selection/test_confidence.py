"""The weights of confident samples against a slow loop, and what they add up to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import confident_weights

QUICK = settings(deadline=None, max_examples=60)
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def slow(predictions: list[int], targets: list[int], num_classes: int) -> list[float]:
    counts = [0] * num_classes
    for p, y in zip(predictions, targets, strict=True):
        counts[y] += p == y
    filled = [n for n in counts if n]
    mean = sum(filled) / len(filled) if filled else 0.0
    return [mean / counts[y] if p == y else 0.0 for p, y in zip(predictions, targets, strict=True)]


def weights_of(rows: list[tuple[int, int]]) -> torch.Tensor:
    predictions, targets = torch.tensor(rows).unbind(1)
    return confident_weights(predictions, targets, num_classes=5)


@QUICK
@given(pairs)
def test_equals_the_slow_loop(rows: list[tuple[int, int]]) -> None:
    weights = weights_of(rows)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(slow(*map(list, zip(*rows, strict=True)), 5), rel=1e-6)


@QUICK
@given(pairs)
def test_every_class_weighs_as_much_and_a_confident_sample_one_on_average(rows: list[tuple[int, int]]) -> None:
    weights, targets = weights_of(rows), torch.tensor(rows)[:, 1]
    sums = torch.zeros(5).index_add(0, targets, weights)
    filled = sums[sums > 0]
    torch.testing.assert_close(filled, filled[:1].expand_as(filled))
    if len(filled):
        assert float(weights[weights > 0].mean()) == pytest.approx(1, rel=1e-5)


def test_labels_may_be_of_any_integer_type_and_no_prediction_is_no_label() -> None:
    rows = torch.tensor([-1, 0, 1, 1], dtype=torch.int16), torch.tensor([0, 0, 1, 0], dtype=torch.int16)
    assert confident_weights(*rows, num_classes=2).tolist() == [0, 1, 1, 0]


def test_counts_do_not_saturate_as_a_sum_of_float32_would() -> None:
    many = torch.zeros(2**24 + 8, dtype=torch.int8)
    weights = confident_weights(many, many, num_classes=2)
    assert float(weights[0]) == 1.0


def test_reads_no_value() -> None:
    rows = torch.zeros(7, dtype=torch.int64, device="meta")
    assert confident_weights(rows, rows, num_classes=3).shape == (7,)


def test_wrong_arguments() -> None:
    rows = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"`predictions` must be integer class ids, got torch.float32: pass the argmax"):
        confident_weights(rows.float(), rows, 3)
    with pytest.raises(TypeError, match=r"`targets` must be integer class ids, got torch.bool"):
        confident_weights(rows, rows.bool(), 3)
    with pytest.raises(ValueError, match=r"`predictions` and `targets` must both be \(N,\), got \(4,\) and \(3,\)"):
        confident_weights(rows, rows[:3], 3)
    with pytest.raises(ValueError, match="`num_classes` must be at least 1, got 0"):
        confident_weights(rows, rows, 0)
