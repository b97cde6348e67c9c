"""The combined score: mean ranks, by a slow loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from noisylearn.signals import average_rank, suspicion

VALUES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), min_size=1, max_size=20)


def slow_rank(values: list[float], groups: list[int] | None = None) -> list[float]:
    groups = [0] * len(values) if groups is None else groups
    out = []
    for v, group in zip(values, groups, strict=True):
        known = [u for u, g in zip(values, groups, strict=True) if g == group and not math.isnan(u)]
        places = [i for i, other in enumerate(sorted(known)) if other == v]
        out.append(math.nan if math.isnan(v) else sum(places) / len(places) / max(len(known) - 1, 1))
    return out


def random_scores(size: int, seed: int, *names: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randint(-3, 4, (size,), generator=generator).float() for name in names}


def mean_of(*ranks: list[float]) -> list[float]:
    return [sum(place) / len(ranks) for place in zip(*ranks, strict=True)]


@given(VALUES)
def test_average_rank(values: list[float]) -> None:
    assert average_rank(torch.tensor(values)).tolist() == pytest.approx(slow_rank(values), abs=1e-6, nan_ok=True)


@given(VALUES, st.integers(0, 100))
def test_average_rank_in_groups(values: list[float], seed: int) -> None:
    groups = torch.randint(0, 4, (len(values),), generator=torch.Generator().manual_seed(seed))
    expected = slow_rank(values, groups.tolist())
    for kind in (groups, groups.float()):
        assert average_rank(torch.tensor(values), kind).tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(st.integers(1, 30), st.integers(0, 100))
def test_suspicion_is_the_mean_rank_in_the_direction_of_noise(size: int, seed: int) -> None:
    scores = random_scores(size, seed, "aum", "el2n", "wrong_events")
    expected = mean_of(slow_rank((-scores["aum"]).tolist()), slow_rank(scores["wrong_events"].tolist()))
    assert suspicion(scores).tolist() == pytest.approx(expected, abs=1e-6)
    assert ((suspicion(scores) >= 0) & (suspicion(scores) <= 1)).all()


@given(st.integers(1, 30), st.integers(0, 100))
def test_known_labels_add_the_rank_inside_their_class(size: int, seed: int) -> None:
    scores = random_scores(size, seed, "aum", "wrong_events", "given")
    labels = (scores["given"] + 3).int().tolist()
    aum, wrong = (-scores["aum"]).tolist(), scores["wrong_events"].tolist()
    expected = mean_of(slow_rank(aum), slow_rank(wrong), slow_rank(aum, labels), slow_rank(wrong, labels))
    scores["given"] += 3
    assert suspicion(scores).tolist() == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 30), st.integers(0, 100))
def test_errors_weighted_by_the_learning_rate_take_the_place_of_the_core_set(size: int, seed: int) -> None:
    scores = random_scores(size, seed, "aum", "wrong_events", "self_influence_normalized")
    assume(size == 1 or len(set(scores["self_influence_normalized"].tolist())) > 1)
    assert suspicion(scores).tolist() == pytest.approx(slow_rank(scores["self_influence_normalized"].tolist()))
    scores |= random_scores(size, seed + 1, "paced_error")
    assume(size == 1 or len(set(scores["paced_error"].tolist())) > 1)
    assert suspicion(scores).tolist() == pytest.approx(slow_rank(scores["paced_error"].tolist()))


def test_errors_weighted_by_a_rate_of_0_leave_it_to_the_core_set() -> None:
    core = random_scores(9, 0, "aum", "wrong_events")
    flat = {"paced_error": torch.tensor([0.0] * 8 + [math.nan]), "self_influence_normalized": torch.zeros(9)}
    assert torch.equal(suspicion(core | flat), suspicion(core))
    other = random_scores(9, 1, "self_influence_normalized")
    assert torch.equal(suspicion(core | flat | other), suspicion(other))
    assert suspicion({"paced_error": torch.zeros(3)}).tolist() == [0.5] * 3  # there is nothing else


def test_unseen_samples_have_none() -> None:
    score = torch.tensor([1.0, math.nan, 2.0])
    scores = {"aum": score, "wrong_events": score, "given": torch.tensor([0.0, math.nan, 0.0])}
    assert suspicion(scores).isnan().tolist() == [False, True, False]
    assert suspicion(scores | {"self_influence_normalized": score}).isnan().tolist() == [False, True, False]


def test_what_is_not_tracked_is_told() -> None:
    with pytest.raises(KeyError, match=r"`scores` must have aum, wrong_events, missing \['wrong_events'\]"):
        suspicion({"aum": torch.zeros(1), "el2n": torch.zeros(1)})
