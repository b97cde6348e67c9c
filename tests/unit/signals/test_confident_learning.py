"""Confident-learning scores against cleanlab's numbers and slow loops, and the signal over a run."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.signals import GivenLabel, MeanProbability, Observation, SignalSet
from noisylearn.signals.confident_learning import (
    ConfidentLearning,
    confidence_weighted_entropy,
    normalized_margin,
    self_confidence,
)
from noisylearn.signals.label_issues import label_issues
from tests.unit.signals.test_label_issues import make

SCORES = {
    "self_confidence": self_confidence,
    "normalized_margin": normalized_margin,
    "confidence_weighted_entropy": confidence_weighted_entropy,
}
# Printed by cleanlab 2.9.0's `get_label_quality_scores(given, probs, method=...)` on `make(6, 3, 6)`.
GOLDEN = {
    "self_confidence": [0.462269, 0.908293, 0.02825, 0.984266, 0.722169, 0.661463],
    "normalized_margin": [0.528567, 0.912012, 0.212522, 0.98648, 0.790412, 0.714327],
    "confidence_weighted_entropy": [0.554699, 0.863161, 0.130601, 0.960441, 0.695582, 0.66215],
}


def slow(name: str, p: list[float], label: int) -> float:
    if name == "self_confidence":
        return p[label]
    if name == "normalized_margin":
        return (p[label] - max(v for k, v in enumerate(p) if k != label) + 1) / 2
    entropy = -sum(v * math.log(v) for v in p if v > 0) / math.log(len(p))
    if entropy == 0:
        return float(p[label] > 0)
    if p[label] == 0:
        return 0.0
    x = entropy / p[label]
    return math.log1p(x) / x


@pytest.mark.parametrize("name", SCORES)
def test_numbers_that_cleanlab_printed(name: str) -> None:
    assert SCORES[name](*make(6, 3, 6)).tolist() == pytest.approx(GOLDEN[name], abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_scores_equal_the_cleanlab_installed(name: str) -> None:
    rank = pytest.importorskip("cleanlab.rank")
    probs, targets = make(500, 7, 0)
    theirs = rank.get_label_quality_scores(targets.numpy(), probs.numpy(), method=name)
    assert SCORES[name](probs, targets).tolist() == pytest.approx(theirs.tolist(), rel=1e-12)


def test_golden_vector() -> None:
    probs, targets = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([1])
    assert self_confidence(probs, targets).item() == pytest.approx(0.2)
    assert normalized_margin(probs, targets).item() == pytest.approx(0.25)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5).filter(any), st.data())
def test_every_score_equals_its_slow_loop_and_is_a_share(counts: list[int], data: st.DataObject) -> None:
    p = [n / sum(counts) for n in counts]
    label = data.draw(st.integers(0, len(p) - 1))
    for name, score in SCORES.items():
        value = score(torch.tensor([p], dtype=torch.float64), torch.tensor([label])).item()
        assert value == pytest.approx(slow(name, p, label), rel=1e-12), name
        assert 0 <= value <= 1 + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_score_of_saturated_probabilities_stays_in_order(dtype: torch.dtype) -> None:
    """The surer of the given label the higher, to the end; cleanlab's clip turns the order round there."""
    probs = torch.tensor([[0.0, 40.0], [0.0, 20.0], [0.0, 14.0], [14.0, 0.0], [20.0, 0.0], [200.0, 0.0]]).softmax(1)
    score = confidence_weighted_entropy(probs.to(dtype), torch.zeros(6, dtype=torch.int64)).tolist()
    assert score == sorted(score)
    assert score[-1] == 1
    assert score[0] < 0.1


def run(steps: list[tuple[Tensor, Tensor, Tensor]], num_samples: int, num_classes: int) -> SignalSet:
    signals = SignalSet([ConfidentLearning(num_classes), MeanProbability(num_classes), GivenLabel()], num_samples)
    for epoch, (index, logits, targets) in enumerate(steps):
        signals.observe(Observation(index, logits, targets))
        signals.commit(epoch)
    return signals


def test_the_signal_judges_the_mean_probabilities_of_the_samples_seen() -> None:
    first, targets = make(50, 4, 0)
    second, _ = make(50, 4, 1)
    index = 2 * torch.arange(50)  # odd rows are never seen
    signals = run([(index, first.log(), targets), (index, second.log(), targets)], 101, 4)
    mean = (first + second) / 2
    scores = signals.compute()
    for name, score in SCORES.items():
        assert scores[name][index].tolist() == pytest.approx(score(mean, targets).tolist(), abs=1e-5), name
    assert scores["label_issue"][index].bool().tolist() == label_issues(mean, targets).tolist()
    assert scores["label_issue"].nansum() > 0
    for name in (*SCORES, "label_issue"):
        assert scores[name][1::2].isnan().all()
        assert scores[name].dtype == torch.float32
    # Probabilities and label are held once for all three signals: 4 classes, and label, n_seen, last_epoch.
    assert signals.table.bytes_per_sample[0] == 4 * 4 + 3 * 2


def test_nothing_seen_gives_nan() -> None:
    scores = SignalSet([ConfidentLearning(3)], 4).compute()
    assert all(value.isnan().all() for value in scores.values())


def test_state_comes_back_from_a_checkpoint() -> None:
    probs, targets = make(20, 3, 0)
    signals = run([(torch.arange(20), probs.log(), targets)], 20, 3)
    other = run([], 20, 3)
    other.load_state_dict(signals.state_dict())
    for name, value in signals.compute().items():
        assert torch.equal(other.compute()[name], value)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 2, got 1: one class has no wrong label"):
        ConfidentLearning(1)
    with pytest.raises(ValueError, match=r"`logits` must have 3 columns, got 2: build ConfidentLearning"):
        run([(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]))], 1, 3)
