"""The stratified split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.data import stratified_split


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=200),
    st.floats(0, 0.9),
    st.integers(0, 5),
)
def test_parts_and_proportions(classes: list[int], fraction: float, seed: int) -> None:
    labels = np.array(classes)
    total = round(fraction * len(labels))
    if total == 0:
        fraction = 0.0
    if total == len(labels):
        return
    kept, held_out = stratified_split(labels, fraction, seed)
    assert len(held_out) == total
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    assert np.all(np.diff(kept) > 0)
    assert np.all(np.diff(held_out) > 0)
    for c in set(classes):
        share = (labels == c).sum() * total / len(labels)
        assert abs((labels[held_out] == c).sum() - share) < 1
    again = stratified_split(labels, fraction, seed)
    assert np.array_equal(again[1], held_out)


def test_seed_matters() -> None:
    labels = np.arange(100) % 4
    assert not np.array_equal(stratified_split(labels, 0.2, 0)[1], stratified_split(labels, 0.2, 1)[1])


@pytest.mark.parametrize(("fraction", "message"), [(1.0, "both parts"), (0.01, "both parts"), (1.5, r"in \[0, 1\]")])
def test_refusals(fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stratified_split(np.array([0, 1, 0, 1]), fraction)
