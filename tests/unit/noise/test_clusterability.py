"""Transition matrices from neighbours: counts against a loop, fits against the matrix that made the labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noisylearn.noise import (
    asymmetric_cifar10_matrix,
    clusterability,
    from_matrix,
    hoc_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)
from noisylearn.noise.clusterability import consensus, consensus_loss
from noisylearn.noise.matrices import Matrix


def clusters(transition: Matrix, num_samples: int = 6000, weights: Any = None) -> tuple[Tensor, Tensor]:
    """Features in one narrow cone per class, and labels that the matrix made."""
    rng = np.random.RandomState(0)
    num_classes = len(transition)
    clean = rng.choice(num_classes, size=num_samples, p=weights)
    features = np.eye(num_classes)[clean] + 0.1 * rng.randn(num_samples, num_classes)
    return torch.from_numpy(features), torch.from_numpy(from_matrix(clean, transition, seed=1).labels)


def error(found: Matrix, true: Matrix) -> float:
    """Mean over rows of the sum of absolute differences, in [0, 2]."""
    return float(np.abs(found - true).sum(axis=1).mean())


def slow_consensus(features: list[list[float]], labels: list[int], num_classes: int) -> list[list[list[float]]]:
    def cosine(a: list[float], b: list[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    counts = np.zeros((num_classes, num_classes, num_classes))
    for i, row in enumerate(features):
        others = sorted((j for j in range(len(features)) if j != i), key=lambda j: -cosine(row, features[j]))
        counts[labels[i], labels[others[0]], labels[others[1]]] += 1 / len(features)
    out: list[list[list[float]]] = counts.tolist()
    return out


@pytest.mark.parametrize("chunk", [2, 7, 64])
def test_the_counts_equal_the_loop_for_any_tile(chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 3, generator=generator, dtype=torch.float64) * torch.rand(40, 1, generator=generator)
    labels = torch.randint(0, 3, (40,), generator=generator)
    found = consensus(features, labels, 3, chunk)
    np.testing.assert_allclose(found, slow_consensus(features.tolist(), labels.tolist(), 3), atol=1e-12)


def slow_loss(transition: Matrix, prior: list[float], observed: Any) -> float:
    """The three sums over classes, written out."""
    classes = range(len(prior))
    orders: list[list[float]] = [[], [], []]
    for i in classes:
        orders[0].append(sum(prior[a] * transition[a][i] for a in classes) - observed[i].sum())
        for j in classes:
            pair = sum(prior[a] * transition[a][i] * transition[a][j] for a in classes)
            orders[1].append(pair - observed[i, j].sum())
            for k in classes:
                triple = sum(prior[a] * transition[a][i] * transition[a][j] * transition[a][k] for a in classes)
                orders[2].append(triple - observed[i, j, k])
    return sum(math.hypot(*misses) for misses in orders)


def test_the_objective_equals_the_loop_and_is_nothing_where_matrix_and_shares_are_right() -> None:
    rng = np.random.RandomState(0)
    transition, prior = rng.dirichlet(np.ones(4), size=4), rng.dirichlet(np.ones(4))
    observed = rng.dirichlet(np.ones(64)).reshape(4, 4, 4)
    found = consensus_loss(torch.from_numpy(transition), torch.from_numpy(prior), torch.from_numpy(observed))
    assert float(found) == pytest.approx(slow_loss(transition, prior.tolist(), observed), rel=1e-12)
    implied = np.einsum("a,ai,aj,ak->ijk", prior, transition, transition, transition)
    nothing = consensus_loss(torch.from_numpy(transition), torch.from_numpy(prior), torch.from_numpy(implied))
    assert float(nothing) == pytest.approx(0, abs=1e-12)


MATRICES = {
    "none": np.eye(10),
    "symmetric": symmetric_matrix(10, 0.4),
    "pair": pair_flip_matrix(10, 0.4),
    "asymmetric": asymmetric_cifar10_matrix(0.4),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_error_against_the_true_matrix(kind: str) -> None:
    """No correction, the identity, is 0.8 away (0.4 where only half of the classes are noisy)."""
    true = MATRICES[kind]
    found = hoc_transition_matrix(*clusters(true), num_classes=10)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert error(found, true) < 0.2


def test_classes_of_unequal_size() -> None:
    """The shares of the right classes are fitted along with the matrix."""
    true = np.array([[0.9, 0.1, 0.0], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    assert error(hoc_transition_matrix(*clusters(true, weights=[0.7, 0.2, 0.1]), num_classes=3), true) < 0.2


def test_the_best_iterate_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the steps overshoot; the authors' code returns the last."""
    tried: list[tuple[float, Matrix]] = []

    def recording(transition: Tensor, prior: Tensor, observed: Tensor) -> Tensor:
        loss = consensus_loss(transition, prior, observed)
        tried.append((loss.item(), transition.detach().numpy().copy()))
        return loss

    monkeypatch.setattr(clusterability, "consensus_loss", recording)
    features, labels = clusters(symmetric_matrix(4, 0.3), 500)
    found = hoc_transition_matrix(features, labels, 4, steps=30, lr=2.0)
    losses = [loss for loss, _ in tried]
    best = losses.index(min(losses))
    assert len(tried) == 30
    assert 0 < best < 29
    np.testing.assert_array_equal(found, tried[best][1])


def test_arrays_and_tensors_of_any_shape_are_alike() -> None:
    features, labels = clusters(pair_flip_matrix(3, 0.2), 300)
    expected = hoc_transition_matrix(features, labels, 3, steps=50)
    for points, given in ((features.numpy(), labels.numpy()), (features.view(300, 3, 1), labels.tolist())):
        np.testing.assert_array_equal(hoc_transition_matrix(points, given, 3, steps=50), expected)
    narrow = hoc_transition_matrix(features.to(torch.bfloat16), labels, 3, steps=50)
    assert narrow.dtype == np.float64
    with torch.no_grad():
        np.testing.assert_array_equal(hoc_transition_matrix(features, labels, 3, steps=50), expected)


def test_wrong_arguments() -> None:
    features, labels = clusters(pair_flip_matrix(3, 0.2), 30)
    with pytest.raises(TypeError, match=r"`features` must be floating point, got torch\.int64: pass one row of feat"):
        hoc_transition_matrix(features.long(), labels, 3)
    for points, given in ((features[:9], labels), (features[:, 0], labels), (features[:2], labels[:2])):
        with pytest.raises(ValueError, match=r"`features` must be \(N, d\), got .* labels: pass one row per sample"):
            hoc_transition_matrix(points, given, 3)
    broken = features.clone()
    broken[3, 1] = math.nan
    with pytest.raises(ValueError, match="`features` must be finite: leave out samples without features"):
        hoc_transition_matrix(broken, labels, 3)
    with pytest.raises(ValueError, match=r"`targets` must be in \[0, 2\), got 2"):
        hoc_transition_matrix(features, labels, 2)
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0: the steps of the fit"):
        hoc_transition_matrix(features, labels, 3, steps=0)
