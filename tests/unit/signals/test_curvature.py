"""Input curvature against one sample and one direction at a time, and closed forms of logistic regression."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisylearn.signals import SignalSet
from noisylearn.signals.curvature import InputCurvature, input_curvature
from tests.unit.signals.sweeping import (
    AROUND,
    conv_network,
    images,
    one_sweep,
    slow_loss_gradient,
    sweep,
    untouched,
)


def directions(seed: int, count: int, shape: tuple[int, ...]) -> list[Tensor]:
    """The signs that the function draws, as a list."""
    g = torch.Generator().manual_seed(seed)
    return [torch.where(torch.randint(2, shape, generator=g) == 1, 1.0, -1.0).double() for _ in range(count)]


def slow_curvature(network: nn.Module, x: Tensor, target: int, signs: list[Tensor], step: float) -> float:
    total = 0.0
    for v in signs:
        moved, here = (slow_loss_gradient(network, point, target) for point in (x + step * v, x))
        total += (moved - here).square().sum().sqrt().item()
    return total / len(signs)


@pytest.mark.parametrize(("count", "step"), [(1, 1e-2), (10, 1e-3), (7, 0.5)])
def test_equals_one_sample_and_one_direction_at_a_time(count: int, step: float) -> None:
    network, (x, y) = conv_network(), images(count)
    signs = directions(3, count, tuple(x.shape[1:]))
    slow = [slow_curvature(network, x[i], int(y[i]), signs, step) for i in range(len(x))]
    found = input_curvature(network, x, y, count, step, torch.Generator().manual_seed(3))
    assert found.tolist() == pytest.approx(slow, rel=1e-8)
    assert min(slow) > 0


def logistic(w: list[float]) -> nn.Module:
    network = nn.Linear(len(w), 2).double().eval()
    with torch.no_grad():
        network.weight.copy_(torch.stack([torch.zeros(len(w)), torch.tensor(w)]))
        network.bias.zero_()
    return network


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(1e-3, 3), st.integers(0, 1))
def test_closed_form_of_logistic_regression(w: list[float], step: float, target: int) -> None:
    """The gradient is ``(s - g) w``, so the difference is ``(s(x + hv) - s(x)) w``, whatever the label is."""
    x = torch.tensor([0.4, -0.1, 0.7, 1.0], dtype=torch.float64)
    weight = torch.tensor(w).double()
    signs = directions(0, 5, (4,))
    change = [((x + step * v) @ weight).sigmoid() - (x @ weight).sigmoid() for v in signs]
    expected = torch.stack(change).abs().mean() * weight.norm()
    found = input_curvature(logistic(w), x[None], torch.tensor([target]), 5, step)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


def test_in_the_limit_of_small_steps_it_is_the_norm_of_the_hessian_times_a_direction() -> None:
    w, x = [1.0, -2.0, 0.5], torch.tensor([[0.3, 0.1, -0.2]], dtype=torch.float64)
    weight = torch.tensor(w).double()
    s = (x[0] @ weight).sigmoid()
    expected = sum(s * (1 - s) * (weight @ v).abs() * weight.norm() for v in directions(0, 10, (3,))) / 10
    found = input_curvature(logistic(w), x, torch.tensor([1]), step=1e-6) / 1e-6
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_many_directions_are_the_mean_over_all_of_them() -> None:
    """In three dimensions there are eight."""
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double().eval()
    x = torch.tensor([[0.1, -0.4, 0.8]], dtype=torch.float64)
    every = [torch.tensor(signs).double() for signs in itertools.product((-1.0, 1.0), repeat=3)]
    expected = slow_curvature(network, x[0], 2, every, 0.1)
    found = input_curvature(network, x, torch.tensor([2]), num_directions=1500, step=0.1)
    assert found.item() == pytest.approx(expected, rel=0.05)


def test_a_loss_that_does_not_bend_has_none() -> None:
    """All classes have one weight vector: the probabilities, so the gradient, are the same everywhere."""
    network = nn.Linear(6, 3).double().eval()
    with torch.no_grad():
        network.weight.copy_(network.weight[0].expand(3, 6))
    found = input_curvature(network, torch.randn(4, 6).double(), torch.tensor([0, 1, 2, 0]), step=1.0)
    assert found.max() < 1e-12


@pytest.mark.parametrize("around", AROUND)
def test_the_same_under_every_mode_and_nothing_is_touched(around: str) -> None:
    network, (x, y) = conv_network(torch.float32), images(1, dtype=torch.float32)
    plain = input_curvature(network, x, y)
    with AROUND[around](), untouched(network):
        found = input_curvature(network, x.clone(), y)
    assert torch.equal(found, plain)
    assert found.dtype == torch.float32


def test_float32_is_near_float64() -> None:
    (x, y), coarse = images(1, batch=20), conv_network(torch.float32)
    found, exact = input_curvature(coarse, x.float(), y), input_curvature(conv_network(), x, y)
    torch.testing.assert_close(found.double(), exact, rtol=2e-2, atol=1e-6)
    narrow = input_curvature(coarse, x.bfloat16(), y)
    assert torch.equal(narrow, input_curvature(coarse, x.bfloat16().float(), y)), "the step is lost in bfloat16"


def test_directions_come_from_the_generator() -> None:
    network, (x, y) = conv_network(), images(1)
    g = torch.Generator().manual_seed(0)
    first, second = input_curvature(network, x, y, generator=g), input_curvature(network, x, y, generator=g)
    assert torch.equal(first, input_curvature(network, x, y))
    assert not torch.equal(first, second)


def test_signal_is_the_mean_over_sweeps() -> None:
    network, (x, y) = conv_network(torch.float32), images(2, batch=4, dtype=torch.float32)
    signals, expected = SignalSet([InputCurvature(num_directions=3, step=0.1, seed=8)], 5), torch.zeros(4).double()
    signs = directions(8, 3, tuple(x.shape[1:]))
    for epoch in range(2):
        with torch.no_grad():
            network[7].weight.mul_(-1.5)
        sweep(signals, network, x, y, list(torch.randperm(4).split(3))).commit(epoch)
        wide = conv_network()
        wide.load_state_dict(network.state_dict())
        for i in range(4):
            expected[i] += slow_curvature(wide, x[i].double(), int(y[i]), signs, 0.1) / 2
    found = signals.compute()["curvature"]
    torch.testing.assert_close(found[:4].double(), expected, rtol=1e-3, atol=0)
    assert found[4].isnan()


def test_no_part_in_it_has_the_batch() -> None:
    """Nor has the order, the process that sweeps the sample, or an interruption: the directions are the same."""
    network, (x, y) = conv_network(torch.float32), images(4, batch=9, dtype=torch.float32)
    forward = one_sweep(InputCurvature(step=0.1), network, x, y, 9, torch.arange(9))
    backward = one_sweep(InputCurvature(step=0.1), network, x, y, 2, torch.arange(9).flip(0))
    torch.testing.assert_close(forward, backward, rtol=1e-4, atol=0)
    other = one_sweep(InputCurvature(step=0.1, seed=1), network, x, y, 9, torch.arange(9))
    assert not torch.allclose(forward, other, rtol=1e-3)


@pytest.mark.parametrize("make", [InputCurvature, lambda **kw: input_curvature(conv_network(), *images(0), **kw)])
def test_what_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="`num_directions` must be at least 1, got 0"):
        make(num_directions=0)  # type: ignore[operator]
    for step in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"`step` must be positive, got {step}: it is in the inputs' units"):
            make(step=step)  # type: ignore[operator]
