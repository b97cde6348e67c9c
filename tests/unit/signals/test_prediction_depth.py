"""Prediction depth against probes written as loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.prediction_depth import PredictionDepth, prediction_depth
from tests.unit.signals.test_neighbors import random_features, slow_nearest

QUICK = settings(deadline=None, max_examples=30)


def slow_probe(rows: list[list[float]], labels: list[int], i: int, k: int) -> int:
    near = [labels[j] for _, j in slow_nearest(rows, i, k)]
    return min(set(near), key=lambda c: (-near.count(c), c))


def slow_depth(layers: list[list[list[float]]], labels: list[int], predicted: list[int], i: int, k: int) -> int:
    """Smallest l such that the probes of layers l, l + 1, ... all say what is predicted."""
    right = [slow_probe(rows, labels, i, k) == predicted[i] for rows in layers]
    return min(depth for depth in range(len(layers) + 1) if all(right[depth:]))


@QUICK
@given(st.integers(0, 2**16), st.integers(3, 25), st.integers(1, 4), st.sampled_from([2, 5, 4096]), st.data())
def test_equals_the_loop(seed: int, num_samples: int, num_layers: int, chunk: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, min(5, num_samples - 1)))
    layers = [random_features(seed + depth, num_samples, 2 + depth, torch.float64) for depth in range(num_layers)]
    labels = [(3 * i + seed) % 2 for i in range(num_samples)]
    predicted = [data.draw(st.integers(0, 2)) for _ in range(num_samples)]
    fast = prediction_depth(layers, torch.tensor(labels), torch.tensor(predicted), k, chunk)
    rows = [layer.tolist() for layer in layers]
    assert fast.tolist() == [slow_depth(rows, labels, predicted, i, k) for i in range(num_samples)]


def separable(right: list[bool]) -> list[Tensor]:
    """Layers of ten samples of two classes, which tell the classes apart where ``right`` says so."""
    line = torch.arange(10.0)[:, None]
    apart = line + 100 * (torch.arange(10)[:, None] % 2)
    return [apart if r else line for r in right]  # on the line a neighbour is of the other class


@pytest.mark.parametrize(
    ("right", "depth"),
    [([1, 1, 1], 0), ([0, 1, 1], 1), ([1, 0, 1], 2), ([0, 0, 0], 3), ([1, 1, 0], 3)],
)
def test_the_last_probe_that_disagrees_decides(right: list[bool], depth: int) -> None:
    targets = torch.arange(10) % 2
    assert prediction_depth(separable(right), targets, targets, k=1).tolist() == [depth] * 10
    assert (
        prediction_depth(separable(right), targets, 1 - targets, k=1).tolist()
        == [0 if not any(right) else max(i for i, r in enumerate(right) if r) + 1] * 10
    )


def test_a_prediction_that_no_label_is() -> None:
    targets = torch.arange(10) % 2
    assert prediction_depth(separable([True]), targets, torch.full((10,), 7), k=1).tolist() == [1] * 10


def observe(signals: SignalSet, index: Tensor, layers: list[Tensor], targets: Tensor, predicted: Tensor) -> SignalSet:
    logits = torch.eye(3)[predicted]
    for rows in torch.arange(len(index)).split(4):
        shown = [layer[rows] for layer in layers]
        signals.observe(Observation(index[rows], logits[rows], targets[rows], layers=shown))
    signals.commit(0)
    return signals


def test_the_signal_pools_maps_and_tokens_and_leaves_out_the_unseen() -> None:
    g = torch.Generator().manual_seed(0)
    maps, tokens, flat = (torch.randn(*shape, generator=g) for shape in [(12, 4, 3, 3), (12, 7, 5), (12, 1)])
    targets, predicted = torch.arange(12) % 3, torch.randint(0, 3, (12,), generator=g)
    index = 3 * torch.arange(12)
    signals = SignalSet([PredictionDepth([4, 5, 1], k=2)], 40)
    observe(signals, index, [maps.to(memory_format=torch.channels_last), tokens, flat.bfloat16()], targets, predicted)
    depth = signals.compute()["prediction_depth"]
    assert depth.isfinite().sum() == 12
    pooled = [maps.mean((2, 3)), tokens.mean(1), flat.bfloat16().float()]
    torch.testing.assert_close(signals.table.views()["layers"][index], torch.cat(pooled, 1))
    assert depth[index].tolist() == prediction_depth(pooled, targets, predicted, k=2).tolist()
    assert signals.table.bytes_per_sample[0] == 4 * 10 + 2 * 4
    other = SignalSet([PredictionDepth([4, 5, 1], k=2)], 40)
    other.load_state_dict(signals.state_dict())
    assert torch.equal(other.compute()["prediction_depth"].nan_to_num(-1), depth.nan_to_num(-1))


def test_one_layer_of_one_channel() -> None:
    targets = torch.arange(10) % 2
    signals = observe(SignalSet([PredictionDepth([1], k=1)], 10), torch.arange(10), separable([True]), targets, targets)
    assert signals.compute()["prediction_depth"].tolist() == [0.0] * 10


@pytest.mark.parametrize("seen", [0, 2])
def test_too_few_samples_give_nan(seen: int) -> None:
    signals = SignalSet([PredictionDepth([2], k=2)], 3)
    if seen:
        zeros = torch.zeros(seen, dtype=torch.int64)
        observe(signals, torch.arange(seen), [torch.randn(seen, 2)], zeros, zeros)
    assert all(math.isnan(v) for v in signals.compute()["prediction_depth"].tolist())


def test_wrong_arguments() -> None:
    zeros = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"`layers` must hold the outputs of at least one layer, got none"):
        prediction_depth([], zeros, zeros)
    with pytest.raises(ValueError, match=r"`widths` must hold the channels of at least one layer, got none"):
        PredictionDepth([])
    with pytest.raises(ValueError, match=r"`k` must be below the number of samples, which is 2, got 30"):
        prediction_depth([torch.randn(2, 2)], zeros, zeros)
    signals = SignalSet([PredictionDepth([2])], 2)
    with pytest.raises(ValueError, match=r"`layers` must be 1, one for each width, got 2"):
        observe(signals, torch.arange(2), [torch.randn(2, 2)] * 2, zeros, zeros)
    with pytest.raises(
        ValueError, match=r"`layers` must be \(B, 2, \.\.\.\) or \(B, \.\.\., 2\) here, got \(2, 5\): build"
    ):
        observe(signals, torch.arange(2), [torch.randn(2, 5)], zeros, zeros)
    with pytest.raises(ValueError, match=r"`layers` is needed by PredictionDepth"):
        signals.observe(Observation(torch.arange(2), torch.zeros(2, 2), zeros))
