"""Memorized fractions against a slow loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.metrics import MemorizationMetric, MemorizedFraction, fractions_from_counts, memorized_fraction
from noisylearn.metrics import memorization_counts as counts_of

classes = st.integers(0, 3)
samples = st.lists(st.tuples(classes, classes, st.integers(-1, 3)), min_size=1, max_size=40)


def counts_slow(rows: list[tuple[int, int, int]]) -> list[int]:
    counts = [0, 0, 0, 0, 0]
    for predicted, label, clean in rows:
        if clean == -1:
            continue
        if label != clean:
            counts[0 if predicted == label else 1 if predicted == clean else 2] += 1
        else:
            counts[3 if predicted == clean else 4] += 1
    return counts


@settings(deadline=None, max_examples=60)
@given(samples)
def test_equals_the_slow_loop(rows: list[tuple[int, int, int]]) -> None:
    predictions, labels, clean = torch.tensor(rows).unbind(1)
    counts = counts_slow(rows)
    assert counts_of(predictions, labels, clean).tolist() == counts
    found = memorized_fraction(predictions, labels, clean)
    assert (found.num_wrong, found.num_right) == (sum(counts[:3]), sum(counts[3:]))
    wrong = [found.memorized, found.correct_on_wrong, found.other_on_wrong]
    right = [found.correct_on_right, found.incorrect_on_right]
    for fractions, part in ((wrong, counts[:3]), (right, counts[3:])):
        if sum(part):
            assert fractions == pytest.approx([c / sum(part) for c in part])
            assert sum(fractions) == pytest.approx(1)
        else:
            assert all(math.isnan(f) for f in fractions)


def test_chance_levels() -> None:
    assert memorized_fraction([0], [0], [0], num_classes=4).chance == 0.25
    assert math.isnan(memorized_fraction([0], [0], [0]).chance)
    with pytest.raises(ValueError, match="`num_classes` must be at least 1, got 0"):
        memorized_fraction([0], [0], [0], num_classes=0)


def test_a_uniform_guess_stands_at_the_chance_levels() -> None:
    generator = torch.Generator().manual_seed(0)
    guess, clean = (torch.randint(0, 5, (50_000,), generator=generator) for _ in range(2))
    found = memorized_fraction(guess, (clean + 1) % 5, clean, num_classes=5)
    assert found.memorized == pytest.approx(found.chance, abs=0.01)
    assert found.correct_on_wrong == pytest.approx(found.chance, abs=0.01)
    assert found.other_on_wrong == pytest.approx(1 - 2 * found.chance, abs=0.01)


def test_counts_of_parts_add_up() -> None:
    rows = torch.randint(0, 4, (3, 50), generator=torch.Generator().manual_seed(0))
    halves = counts_of(*rows[:, :20].unbind()) + counts_of(*rows[:, 20:].unbind())
    assert isinstance(fractions_from_counts(halves), MemorizedFraction)
    assert torch.equal(halves, counts_of(*rows.unbind()))


def check_metric(metric: MemorizationMetric, rows: torch.Tensor) -> None:
    expected = vars(memorized_fraction(rows[0], rows[1], rows[2]))
    found = metric.compute()
    assert set(found) == {"memorized", "correct_on_wrong", "other_on_wrong", "correct_on_right", "incorrect_on_right"}
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name])


def test_the_metric_over_batches_merges_and_sums_over_ranks() -> None:
    rows = torch.randint(0, 4, (3, 50), generator=torch.Generator().manual_seed(0))
    one, two = MemorizationMetric(), MemorizationMetric()
    for part in rows[:, :20].split(7, dim=1):
        one.update(*part.unbind())
    two.update(*rows[:, 20:].unbind())
    one.merge_state(two)
    check_metric(one, rows)
    other = counts_of(*rows[:, 20:].unbind())
    ranked = MemorizationMetric(
        dist_sync_fn=lambda tensor, group: [tensor, other], distributed_available_fn=lambda: True
    )
    ranked.update(*rows[:, :20].unbind())
    check_metric(ranked, rows)
    one.reset()
    assert not one.counts.any()


def test_the_metric_of_clean_data_is_nan_on_wrong_labels() -> None:
    metric = MemorizationMetric()
    metric.update(*torch.tensor([[0, 1], [0, 0], [0, 0]]).unbind())
    assert metric.compute()["memorized"].isnan()
    assert metric.compute()["correct_on_right"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.5], [0], [0]), TypeError, r"`predictions` must be integers, got torch\.float32: pass class ids"),
        (([0], [0], [True]), TypeError, r"`clean` must be integers, got torch\.bool"),
        (([0, 1], [0], [0]), ValueError, r"must all be \(B,\), got \(2,\), \(1,\), \(1,\)"),
        (([[0]], [[0]], [[0]]), ValueError, r"must all be \(B,\), got \(1, 1\)"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        memorized_fraction(*arguments)
