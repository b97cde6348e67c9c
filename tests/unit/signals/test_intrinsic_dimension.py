"""Local intrinsic dimensionality against its formula, and the signal's batches."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.intrinsic_dimension import IntrinsicDimension, intrinsic_dimension

QUICK = settings(deadline=None, max_examples=40)


def slow(rows: list[list[float]], i: int, k: int) -> float:
    distances = sorted(d for d in (math.dist(rows[i], row) for row in rows) if d > 0)[:k]
    if len(distances) < k or distances[0] == distances[-1]:
        return math.nan
    return -1 / (sum(math.log(r / distances[-1]) for r in distances) / k)


def features_of(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@QUICK
@given(st.integers(0, 2**16), st.integers(1, 30), st.integers(1, 5), st.integers(2, 6))
def test_equals_the_formula(seed: int, batch: int, width: int, k: int) -> None:
    x = features_of(seed, batch, width)
    expected = [slow(x.tolist(), i, k) for i in range(batch)]
    assert intrinsic_dimension(x, k).tolist() == pytest.approx(expected, rel=1e-9, nan_ok=True)


@QUICK
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12), st.integers(2, 4))
def test_duplicates_and_equal_distances(points: list[tuple[int, int]], k: int) -> None:
    """Points of a grid: many distances are zero and many equal."""
    rows = [[float(a), float(b)] for a, b in points]
    expected = [slow(rows, i, k) for i in range(len(rows))]
    assert intrinsic_dimension(torch.tensor(rows), k).tolist() == pytest.approx(expected, rel=1e-4, nan_ok=True)


def test_duplicates_are_dropped_also_far_from_the_origin() -> None:
    x = features_of(0, 30, 8).float() + 100
    doubled = intrinsic_dimension(torch.cat([x, x]), k=5)
    assert doubled.isfinite().all()
    assert doubled[:30].tolist() == pytest.approx(doubled[30:].tolist(), rel=1e-3)
    rows = torch.cat([x, x]).double().tolist()
    assert doubled.tolist() == pytest.approx([slow(rows, i, 5) for i in range(60)], rel=1e-3)


@QUICK
@given(st.integers(0, 2**16), st.floats(1e-3, 1e3))
def test_scale_does_not_matter(seed: int, scale: float) -> None:
    x = features_of(seed, 20, 3)
    assert intrinsic_dimension(scale * x, 4).tolist() == pytest.approx(intrinsic_dimension(x, 4).tolist(), rel=1e-6)


def test_finds_the_dimension_of_a_subspace() -> None:
    """Uniform points of a d-dimensional cube, turned into 64 dimensions."""
    for d in (1, 3):
        g = torch.Generator().manual_seed(d)
        x = torch.rand(2000, d, generator=g) @ torch.linalg.qr(torch.randn(64, d, generator=g)).Q.T
        assert intrinsic_dimension(x, 20).mean().item() == pytest.approx(d, rel=0.15)


def test_batches_are_apart_and_half_precision_is_widened() -> None:
    x = features_of(1, 3, 20, 4)
    assert torch.equal(intrinsic_dimension(x, 4), torch.stack([intrinsic_dimension(batch, 4) for batch in x]))
    half = x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(intrinsic_dimension(half, 4), intrinsic_dimension(half.float(), 4))


def observed(x: Tensor, step: int, batch_size: int, k: int = 3, epochs: int = 1) -> SignalSet:
    signals = SignalSet([IntrinsicDimension(k, batch_size)], len(x) + 1)
    for epoch in range(epochs):
        for rows in torch.arange(len(x)).split(step):
            logits, targets = torch.zeros(len(rows), 2), torch.zeros(len(rows), dtype=torch.int64)
            signals.observe(Observation(rows, logits, targets, features=x[rows]))
        signals.commit(epoch)
    return signals


@pytest.mark.parametrize("step", [1, 5, 8, 16, 37])
def test_neighbours_are_sought_among_as_many_samples_whatever_the_step(step: int) -> None:
    """The first observation is staged at once, to be checked; what comes after is grouped."""
    x = features_of(2, 37, 4)
    signals = SignalSet([IntrinsicDimension(3, 8)], 38)
    signals.observe(Observation(torch.tensor([37]), torch.zeros(1, 2), torch.tensor([0]), features=x[:1]))
    for rows in torch.arange(37).split(step):
        logits, targets = torch.zeros(len(rows), 2), torch.zeros(len(rows), dtype=torch.int64)
        signals.observe(Observation(rows, logits, targets, features=x[rows]))
    signals.commit(0)
    rows, expected = x.tolist(), []
    for i in range(37):
        start = 8 * (i // 8) if i < 32 else 29  # the last five look back
        expected.append(slow(rows[start : start + 8], i - start, 3))
    found = signals.compute()["intrinsic_dimension"].tolist()
    assert found[:37] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(found[37]), "alone, it has no neighbours"


@pytest.mark.parametrize("when", range(8))
def test_a_checkpoint_leaves_each_sample_its_neighbours(when: int) -> None:
    """In both runs: in the one that saves, and in the one that goes on from there."""
    x = features_of(4, 37, 4)
    whole = observed(x, 5, 8, epochs=2).compute()["intrinsic_dimension"]
    saved, resumed = SignalSet([IntrinsicDimension(3, 8)], 38), SignalSet([IntrinsicDimension(3, 8)], 38)
    for epoch in range(2):
        for number, rows in enumerate(torch.arange(37).split(5)):
            if epoch == 1 and number == when:
                state = saved.state_dict()
                resumed.load_state_dict(state)
                resumed.to("cpu")  # as at the beginning of a fit
            obs = Observation(rows, torch.zeros(len(rows), 2), torch.zeros_like(rows), features=x[rows])
            for signals in (saved, resumed) if epoch == 1 and number >= when else (saved,):
                signals.observe(obs)
        for signals in (saved, resumed)[: epoch + 1]:
            signals.commit(epoch)
    for signals in (saved, resumed):
        assert torch.equal(signals.compute()["intrinsic_dimension"].nan_to_num(-1), whole.nan_to_num(-1))


def test_the_mean_is_over_the_presentations_measured() -> None:
    x = features_of(3, 8, 4)
    once = observed(x, 8, 8).compute()["intrinsic_dimension"]
    again = observed(x, 8, 8, epochs=3)
    assert again.compute()["intrinsic_dimension"].tolist() == pytest.approx(once.tolist(), rel=1e-6, nan_ok=True)
    assert again.table.views()["dimension_count"].tolist() == [3] * 8 + [0]
    # A presentation without neighbours does not count, and leaves the row in the table.
    alone = torch.tensor([0])
    again.observe(Observation(alone, torch.zeros(1, 2), alone, features=x[:1]))
    again.commit(3)
    assert again.compute()["intrinsic_dimension"][0].item() == pytest.approx(once[0].item(), rel=1e-6)
    assert again.table.views()["n_seen"][0].item() == 4
    assert again.table.num_non_finite == 0


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`k` must be at least 2, got 1: one distance has nothing"):
        intrinsic_dimension(torch.randn(4, 2), 1)
    with pytest.raises(ValueError, match=r"`k` must be at least 2, got 1: one distance has nothing"):
        IntrinsicDimension(k=1)
    with pytest.raises(
        ValueError, match=r"`batch_size` must be above k = 20, got 20: neighbours are sought in a batch"
    ):
        IntrinsicDimension(batch_size=20)
