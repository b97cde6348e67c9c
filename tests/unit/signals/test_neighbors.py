"""Nearest neighbours and the vote of their labels, against a loop over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn._nearest import nearest
from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.neighbors import NeighborDisagreement, knn_disagreement

QUICK = settings(deadline=None, max_examples=30)


def random_features(seed: int, num_samples: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(num_samples, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow_nearest(rows: list[list[float]], i: int, k: int) -> list[tuple[float, int]]:
    """Squared distance and number of the ``k`` nearest other rows."""
    others = [(sum((a - b) ** 2 for a, b in zip(rows[i], row, strict=True)), j) for j, row in enumerate(rows) if j != i]
    return sorted(others)[:k]


def slow_vote(rows: list[list[float]], labels: list[int], num_classes: int, i: int, k: int) -> list[float]:
    """Shares of the classes in the vote on sample ``i``."""
    norm = [math.sqrt(sum(v * v for v in row)) for row in rows]
    cosine = [
        (sum(a * b for a, b in zip(rows[i], row, strict=True)) / (norm[i] * norm[j]), j)
        for j, row in enumerate(rows)
        if j != i
    ]
    voters = [(max(c, 1e-6), labels[j]) for c, j in sorted(cosine, reverse=True)[:k]]
    return [sum(w for w, label in voters if label == c) / sum(w for w, _ in voters) for c in range(num_classes)]


@QUICK
@given(st.integers(0, 2**16), st.integers(2, 40), st.integers(1, 6), st.sampled_from([1, 3, 7, 64]), st.data())
def test_nearest_equals_the_loop_for_any_tile(
    seed: int, num_samples: int, width: int, chunk: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, num_samples - 1))
    features = random_features(seed, num_samples, width, torch.float64) + 100
    rows = features.tolist()
    done = 0
    for where, squared, index in nearest(features, k, chunk):
        assert where.start == done
        for i in range(where.start, where.stop):
            slow = slow_nearest(rows, i, k)
            assert index[i - done].tolist() == [j for _, j in slow]
            assert squared[i - done].tolist() == pytest.approx([d for d, _ in slow], rel=1e-9, abs=1e-9)
        done = where.stop
    assert done == num_samples


def test_nearest_far_from_the_origin_in_float32_and_under_autocast() -> None:
    features = random_features(0, 50, 4) + 1000
    with torch.autocast("cpu", torch.bfloat16):
        ((_, squared, index),) = nearest(features, 5)
    rows = features.double().tolist()
    assert squared.dtype == torch.float32
    for i in range(50):
        slow = slow_nearest(rows, i, 5)
        assert index[i].tolist() == [j for _, j in slow]
        assert squared[i].tolist() == pytest.approx([d for d, _ in slow], rel=1e-3, abs=1e-3)


def test_a_duplicate_is_a_neighbour_and_the_sample_itself_is_not() -> None:
    ((_, squared, index),) = nearest(torch.tensor([[1.0, 2.0], [1.0, 2.0], [5.0, 5.0]]), k=1)
    assert index[:, 0].tolist()[:2] == [1, 0]
    assert squared[:, 0].tolist() == [0, 0, 25]


@QUICK
@given(st.integers(0, 2**16), st.integers(4, 30), st.integers(1, 3), st.sampled_from([2, 5, 4096]))
def test_the_vote_equals_the_loop(seed: int, num_samples: int, k: int, chunk: int) -> None:
    features = random_features(seed, num_samples, 5, torch.float64)
    labels = [(7 * i + seed) % 3 for i in range(num_samples)]
    disagreement, winner = knn_disagreement(features, torch.tensor(labels), 3, k, chunk)
    for i, row in enumerate(disagreement.tolist()):
        shares = slow_vote(features.tolist(), labels, 3, i, k)
        assert row == pytest.approx(1 - shares[labels[i]], abs=1e-6)
        assert shares[winner[i]] == pytest.approx(max(shares), abs=1e-6)
        assert 0 <= row <= 1


@QUICK
@given(st.integers(0, 2**16))
def test_the_lengths_and_the_order_of_the_samples_do_not_matter(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    features, targets = random_features(seed, 25, 6, torch.float64), torch.randint(0, 3, (25,), generator=g)
    disagreement, winner = knn_disagreement(features, targets, 3, k=4)
    scaled = features * (0.1 + 9 * torch.rand(25, 1, generator=g, dtype=torch.float64))
    order = torch.randperm(25, generator=g)
    again, winner_again = knn_disagreement(scaled[order], targets[order], 3, k=4)
    assert again.tolist() == pytest.approx(disagreement[order].tolist(), abs=1e-9)
    assert winner_again.tolist() == winner[order].tolist()


def observe(signals: SignalSet, index: Tensor, features: Tensor, targets: Tensor) -> SignalSet:
    logits = torch.zeros(len(index), 3)
    for rows in torch.arange(len(index)).split(4):
        signals.observe(Observation(index[rows], logits[rows], targets[rows], features=features[rows]))
    signals.commit(0)
    return signals


@pytest.mark.parametrize("width", [1, 6])
def test_the_signal_votes_among_the_samples_seen(width: int) -> None:
    features, targets = random_features(3, 30, width), torch.arange(30) % 3
    index = torch.arange(30) * 2 + 1
    signals = observe(SignalSet([NeighborDisagreement(width, 3, k=3)], 61), index, features, targets)
    scores = signals.compute()
    disagreement, winner = knn_disagreement(features, targets, 3, k=3)
    assert scores["neighbor_disagreement"][index].tolist() == pytest.approx(disagreement.tolist(), abs=1e-5)
    assert scores["neighbor_label"][index].tolist() == winner.tolist()
    assert scores["neighbors_outvote"][index].tolist() == (winner != targets).tolist()
    assert all(value[::2].isnan().all() for value in scores.values())
    other = SignalSet([NeighborDisagreement(width, 3, k=3)], 61)
    other.load_state_dict(signals.state_dict())
    assert all(torch.equal(value, scores[name].nan_to_num(-1)) for name, value in nan_free(other).items())


def nan_free(signals: SignalSet) -> dict[str, Tensor]:
    return {name: value.nan_to_num(-1) for name, value in signals.compute().items()}


def test_wrong_labels_among_clusters_are_found() -> None:
    g = torch.Generator().manual_seed(0)
    clean = torch.arange(90) % 3
    features = 10 * torch.eye(3)[clean] + torch.randn(90, 3, generator=g)
    targets = clean.clone()
    targets[:6] = (targets[:6] + 1) % 3
    scores = observe(SignalSet([NeighborDisagreement(3, 3)], 90), torch.arange(90), features, targets).compute()
    assert scores["neighbors_outvote"].nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert scores["neighbor_label"].tolist() == clean.tolist()


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_too_few_samples_give_nan(seen: int) -> None:
    signals = SignalSet([NeighborDisagreement(2, 3, k=3)], 9)
    if seen:
        observe(signals, torch.arange(seen), torch.randn(seen, 2), torch.zeros(seen, dtype=torch.int64))
    assert all(value.isnan().all() for value in signals.compute().values())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`k` must be below the number of samples, which is 4, got 4: ask for fewer"):
        knn_disagreement(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64), 2, k=4)
    with pytest.raises(
        ValueError, match=r"`features` must have 5 values per sample, got 2: build NeighborDisagreement"
    ):
        observe(SignalSet([NeighborDisagreement(5, 3)], 2), torch.arange(2), torch.randn(2, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"`k` must be at least 1, got 0: the number of neighbours that vote"):
        NeighborDisagreement(5, 3, k=0)
