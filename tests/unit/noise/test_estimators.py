"""Transition matrices from predictions: against slow loops, and against the matrix that made the labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from noisylearn.noise import (
    anchor_transition_matrix,
    asymmetric_cifar10_matrix,
    dual_t_transition_matrix,
    from_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)
from noisylearn.noise.matrices import Matrix

Probs = npt.NDArray[np.float64]


def softmax(logits: Probs) -> Probs:
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exps / exps.sum(axis=1, keepdims=True))


def some_probs(num_samples: int = 300, num_classes: int = 5, seed: int = 0) -> Probs:
    return softmax(3 * np.random.RandomState(seed).randn(num_samples, num_classes))


def slow_anchor(probs: Probs, percentile: float | None) -> list[list[float]]:
    out = []
    for c in range(probs.shape[1]):
        column = probs[:, c].tolist()
        allowed = column
        if percentile is not None:
            cut = sorted(column)[math.ceil(percentile / 100 * (len(column) - 1))]
            allowed = [p for p in column if p < cut] or column
        row = probs[column.index(max(allowed))].tolist()
        out.append([p / math.fsum(row) for p in row])
    return out


def slow_dual(probs: Probs, targets: list[int], percentile: float | None) -> list[list[float]]:
    num_classes = probs.shape[1]
    predicted = [row.index(max(row)) for row in probs.tolist()]
    counted = []
    for c in range(num_classes):
        given = [y for p, y in zip(predicted, targets, strict=True) if p == c]
        counted.append([given.count(k) / len(given) if given else float(k == c) for k in range(num_classes)])
    anchors = slow_anchor(probs, percentile)
    return [[math.fsum(a * counted[k][j] for k, a in enumerate(row)) for j in range(num_classes)] for row in anchors]


@pytest.mark.parametrize("percentile", [None, 97.0, 50.0, 0.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_the_slow_loops(percentile: float | None, dtype: type) -> None:
    probs = some_probs().astype(dtype)
    targets = np.random.RandomState(1).randint(5, size=len(probs))
    wide = probs.astype(np.float64)
    np.testing.assert_allclose(anchor_transition_matrix(probs, percentile), slow_anchor(wide, percentile), rtol=1e-12)
    expected = slow_dual(wide, targets.tolist(), percentile)
    found = dual_t_transition_matrix(probs, targets, percentile)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_the_predictions_are_left_as_they_were() -> None:
    """The code in common use erases what it sets aside for one class from the rows of the next."""
    probs = some_probs()
    before = probs.copy()
    anchor_transition_matrix(probs)
    np.testing.assert_array_equal(probs, before)


def test_a_column_of_equals_takes_the_first_and_a_class_never_predicted_is_given_as_predicted() -> None:
    probs = np.array([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    assert anchor_transition_matrix(probs)[0].tolist() == [0.5, 0.3, 0.2]
    found = dual_t_transition_matrix(probs, [1, 1], percentile=None)
    # Class 0 was predicted twice and given as 1; classes 1 and 2 were never predicted.
    np.testing.assert_allclose(found[0], [0, 0.8, 0.2])


def learned(transition: Matrix, confidence: float, spread: float = 0.0) -> tuple[Probs, npt.NDArray[np.int64]]:
    """What a network that has learned ``P(given | input)`` predicts, and the labels; most samples are of one class.

    Args:
        transition: What made the labels.
        confidence: Scale of its logits; 1 is calibrated.
        spread: Standard deviation of an error in its logits.
    """
    num_samples = 20_000
    rng = np.random.RandomState(0)
    num_classes = len(transition)
    clean = np.arange(num_samples) % num_classes
    surety = np.minimum(1.0, rng.uniform(0.4, 1.4, size=num_samples))[:, None]
    posterior = surety * np.eye(num_classes)[clean] + (1 - surety) / num_classes
    noisy = from_matrix(clean, transition, seed=1).labels
    logits = np.log(posterior @ transition + 1e-3) + spread * rng.randn(num_samples, num_classes)
    return softmax(confidence * logits), noisy


def error(found: Matrix, true: Matrix) -> float:
    """Mean over rows of the sum of absolute differences, in [0, 2]."""
    return float(np.abs(found - true).sum(axis=1).mean())


MATRICES: dict[str, Callable[[], Matrix]] = {
    "symmetric": lambda: symmetric_matrix(10, 0.4),
    "pair": lambda: pair_flip_matrix(10, 0.3),
    "asymmetric": lambda: asymmetric_cifar10_matrix(0.4),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_error_against_the_true_matrix(kind: str) -> None:
    """Calibrated predictions show the matrix at their anchors; where they are overconfident, the counts show it."""
    true = MATRICES[kind]()
    probs, noisy = learned(true, confidence=1.0)
    anchor, dual = error(anchor_transition_matrix(probs), true), error(dual_t_transition_matrix(probs, noisy), true)
    assert anchor < 0.05
    assert dual > anchor  # which applies the noise twice
    probs, noisy = learned(true, confidence=5.0, spread=0.1)
    anchor, dual = error(anchor_transition_matrix(probs), true), error(dual_t_transition_matrix(probs, noisy), true)
    assert dual < 0.5 * anchor


def test_setting_outliers_aside_helps_against_overconfident_ones() -> None:
    true = symmetric_matrix(10, 0.4)
    probs, _ = learned(true, confidence=1.0, spread=0.2)
    probs[:200] = np.eye(10)[np.arange(200) % 10]  # 1 % memorized
    assert error(anchor_transition_matrix(probs, None), true) == pytest.approx(0.8)
    assert error(anchor_transition_matrix(probs), true) < 0.4


def test_wrong_arguments() -> None:
    probs = some_probs()
    for percentile in (0, 100, -3, 101):
        with pytest.raises(ValueError, match=r"`percentile` must be in \(0, 100\), got .*: pass 97, or None"):
            anchor_transition_matrix(probs, percentile)
    with pytest.raises(TypeError, match="`probs` must be floating point, got int64: pass predicted probabilities"):
        anchor_transition_matrix(np.eye(3).astype(np.int64))
    for shape in ((0, 3), (3,), (3, 1), (2, 2, 2)):
        with pytest.raises(ValueError, match=r"`probs` must be \(N, C\), got shape"):
            anchor_transition_matrix(np.zeros(shape))
    for bad in (-0.1, math.nan, math.inf):
        broken = probs.copy()
        broken[3, 1] = bad
        with pytest.raises(ValueError, match="`probs` must be finite and at least 0: pass probabilities, not logits"):
            anchor_transition_matrix(broken)
    with pytest.raises(ValueError, match=r"`targets` must have one label per row of `probs` \(300\), got 2"):
        dual_t_transition_matrix(probs, [0, 1])
    with pytest.raises(ValueError, match=r"`targets` must be in \[0, 5\), got 7"):
        dual_t_transition_matrix(probs, [7] * 300)
