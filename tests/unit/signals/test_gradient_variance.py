"""VoG against maps kept for every sweep, in float64, one sample and one pixel cell at a time."""

from __future__ import annotations

import math
from statistics import fmean, pstdev

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisylearn.signals import Forgetting, GivenLabel, SignalSet
from noisylearn.signals.gradient_variance import VarianceOfGradients, logit_gradient_map, standardize_by_class
from tests.unit.signals.sweeping import AROUND, conv_network, images, sweep, untouched

NAN = math.nan


def slow_map(network: nn.Module, image: Tensor, target: int) -> list[float]:
    """The mean over channels and over the pixels of each cell; the side is a multiple of 8."""
    leaf = image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf.clone())[0, target], leaf)
    size = image.shape[-1] // 8
    cells = [(r, c) for r in range(8) for c in range(8)]
    return [gradient[0, :, r * size : (r + 1) * size, c * size : (c + 1) * size].mean().item() for r, c in cells]


def slow_standardized(values: list[float], classes: list[int]) -> list[float]:
    out = []
    for value, label in zip(values, classes, strict=True):
        peers = [v for v, k in zip(values, classes, strict=True) if k == label and math.isfinite(v)]
        if not math.isfinite(value):
            out.append(NAN)
        elif max(peers) == min(peers):
            out.append(0.0)
        else:
            out.append((value - fmean(peers)) / pstdev(peers))
    return out


@pytest.mark.parametrize("side", [8, 16, 24])
def test_a_map_is_the_pooled_gradient_of_the_given_logit(side: int) -> None:
    network, (x, y) = conv_network(), images(side, side=side)
    slow = [slow_map(network, x[i], int(y[i])) for i in range(len(x))]
    torch.testing.assert_close(
        logit_gradient_map(network, x, y), torch.tensor(slow, dtype=torch.float64), rtol=1e-6, atol=1e-9
    )


def test_the_gradient_of_a_linear_network_is_its_weight() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 64, 3)).double().eval()
    x, y = torch.randn(4, 2, 8, 8).double(), torch.tensor([2, 0, 1, 1])
    expected = network[1].weight.detach().view(3, 2, 64).mean(1)[y]
    torch.testing.assert_close(logit_gradient_map(network, x, y), expected)


@pytest.mark.parametrize("around", AROUND)
def test_the_same_under_every_mode_and_nothing_is_touched(around: str) -> None:
    network, (x, y) = conv_network(torch.float32), images(1, side=12, dtype=torch.float32)
    plain = logit_gradient_map(network, x, y)
    with AROUND[around](), untouched(network):
        found = logit_gradient_map(network, x.clone(), y)
    assert torch.equal(found, plain)
    assert found.shape == (5, 64)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 0.1, 1e-3, 7.5, NAN]), st.integers(0, 2)), max_size=20))
def test_standardizing_equals_the_slow_loop(rows: list[tuple[float, int]]) -> None:
    values, classes = [v for v, _ in rows], [k for _, k in rows]
    found = standardize_by_class(torch.tensor(values, dtype=torch.float64), torch.tensor(classes, dtype=torch.int16))
    assert found.tolist() == pytest.approx(slow_standardized(values, classes), rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_class_without_spread_is_not_told_apart_by_rounding() -> None:
    values = torch.full((1000,), 0.1)
    values[::3] = torch.nextafter(values[0], torch.tensor(1.0))
    assert (standardize_by_class(values, torch.zeros(1000, dtype=torch.int64)) == 0).all()


def test_standardizing_is_blind_to_the_scale_and_the_level_of_a_class() -> None:
    g = torch.Generator().manual_seed(0)
    values, classes = torch.rand(50, generator=g).double(), torch.randint(3, (50,), generator=g)
    scale, level = torch.tensor([1.0, 10.0, 0.1]).double()[classes], torch.tensor([0.0, 5.0, -1.0]).double()[classes]
    torch.testing.assert_close(
        standardize_by_class(values * scale + level, classes), standardize_by_class(values, classes)
    )


def test_signal_equals_maps_kept_for_every_sweep() -> None:
    network, (x, y) = conv_network(torch.float32), images(2, batch=12, side=16, dtype=torch.float32)
    signals = SignalSet([VarianceOfGradients(), Forgetting(), GivenLabel()], 14)
    kept: list[list[list[float]]] = [[] for _ in range(14)]
    g = torch.Generator().manual_seed(0)
    for epoch in range(5):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn(p.shape, generator=g) * 0.3)
        rows = torch.randperm(11, generator=g)[: 11 if epoch < 2 else 7]
        rows = torch.cat([rows, torch.tensor([11])]) if epoch == 3 else rows  # 11 is swept once
        repeats = rows[:2]  # as a sampler that pads does
        sweep(signals, network, x, y, [*rows.split(4), repeats]).commit(epoch)
        wide = conv_network()
        wide.load_state_dict(network.state_dict())
        for i in rows.tolist():
            kept[i].append(slow_map(wide, x[i].double(), int(y[i])))
    spread = [fmean(pstdev(cell) for cell in zip(*maps, strict=True)) if len(maps) > 1 else NAN for maps in kept]
    expected = slow_standardized(spread, [*y.tolist(), 0, 0])
    scores = signals.compute()
    torch.testing.assert_close(
        scores["vog"].double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-3, atol=1e-4, equal_nan=True
    )
    assert scores["vog"].isnan().tolist() == [False] * 11 + [True] * 3
    assert scores["given"][:12].tolist() == y.tolist()


def test_no_part_in_it_has_the_batch() -> None:
    network, (x, y) = conv_network(torch.float32), images(4, batch=9, dtype=torch.float32)
    sets = [SignalSet([VarianceOfGradients()], 9) for _ in range(2)]
    for epoch in range(2):
        with torch.no_grad():
            network[1].weight.mul_(-1.5)
        sweep(sets[0], network, x, y, [torch.arange(9)]).commit(epoch)
        sweep(sets[1], network, x, y, list(torch.arange(9).flip(0).split(2))).commit(epoch)
    torch.testing.assert_close(sets[0].compute()["vog"], sets[1].compute()["vog"], rtol=1e-3, atol=1e-4)


def test_the_bytes_are_as_stated() -> None:
    assert VarianceOfGradients().bytes_per_sample == 516
    assert VarianceOfGradients.state == "516 bytes"


def test_what_is_refused() -> None:
    network = nn.Linear(5, 3).eval()
    with pytest.raises(ValueError, match=r"`inputs` must be images \(B, C, H, W\), got shape \(2, 5\): VoG pools"):
        logit_gradient_map(network, torch.zeros(2, 5), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="`inputs` must be one floating point tensor, got tuple"):
        logit_gradient_map(network, (torch.zeros(2, 5),), torch.tensor([0, 1]))  # type: ignore[arg-type]
