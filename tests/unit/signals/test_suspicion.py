"""The combined score: mean ranks, by a slow loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.signals import average_rank, suspicion

VALUES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), min_size=1, max_size=20)


def slow_rank(values: list[float]) -> list[float]:
    known = [v for v in values if not math.isnan(v)]
    out = []
    for v in values:
        places = [i for i, other in enumerate(sorted(known)) if other == v]
        out.append(math.nan if math.isnan(v) else sum(places) / len(places) / max(len(known) - 1, 1))
    return out


@given(VALUES)
def test_average_rank(values: list[float]) -> None:
    assert average_rank(torch.tensor(values)).tolist() == pytest.approx(slow_rank(values), abs=1e-6, nan_ok=True)


@given(st.integers(1, 30), st.integers(0, 100))
def test_suspicion_is_the_mean_rank_in_the_direction_of_noise(size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {
        name: torch.randint(-3, 4, (size,), generator=generator).float() for name in ("aum", "el2n", "wrong_events")
    }
    parts = [slow_rank((-scores["aum"]).tolist()), *(slow_rank(scores[n].tolist()) for n in ("el2n", "wrong_events"))]
    expected = [sum(place) / 3 for place in zip(*parts, strict=True)]
    assert suspicion(scores).tolist() == pytest.approx(expected, abs=1e-6)
    assert ((suspicion(scores) >= 0) & (suspicion(scores) <= 1)).all()


def test_unseen_samples_have_none() -> None:
    score = torch.tensor([1.0, math.nan, 2.0])
    assert suspicion({"aum": score, "el2n": score, "wrong_events": score}).isnan().tolist() == [False, True, False]


def test_what_is_not_tracked_is_told() -> None:
    with pytest.raises(KeyError, match=r"`scores` must have aum, el2n, wrong_events, missing \['el2n'\]"):
        suspicion({"aum": torch.zeros(1), "wrong_events": torch.zeros(1)})
