"""Cumulative sample gradient against one sample at a time, and the closed form of logistic regression."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from noisylearn.signals import Observation, SignalSet
from noisylearn.signals.sample_gradient import CumulativeSampleGradient, sample_gradient_norm
from tests.unit.signals.sweeping import (
    AROUND,
    conv_network,
    images,
    one_sweep,
    slow_loss_gradient,
    sweep,
    untouched,
)


@pytest.mark.parametrize("seed", range(3))
def test_equals_one_sample_at_a_time(seed: int) -> None:
    network, (x, y) = conv_network(), images(seed)
    slow = [slow_loss_gradient(network, x[i], int(y[i])).norm() for i in range(len(x))]
    torch.testing.assert_close(sample_gradient_norm(network, x, y), torch.stack(slow), rtol=1e-12, atol=0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.integers(0, 2))
def test_closed_form_of_softmax_regression(numbers: list[float], target: int) -> None:
    """``grad_x l = W^T (p - onehot)``."""
    network = nn.Linear(2, 3).double().eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor(numbers).view(3, 2))
    x = torch.tensor([[0.3, -1.2]], dtype=torch.float64)
    with torch.no_grad():
        error = network(x).softmax(1)[0]
        error[target] -= 1
        expected = (network.weight.T @ error).norm()
    found = sample_gradient_norm(network, x, torch.tensor([target]))[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_under_every_mode_and_nothing_is_touched(around: str, dtype: torch.dtype) -> None:
    network, (x, y) = conv_network(dtype), images(1, dtype=dtype)
    plain, given_inputs = sample_gradient_norm(network, x, y), x.clone()
    with AROUND[around](), untouched(network):
        x = x.clone()  # in inference mode, of that kind
        found = sample_gradient_norm(network, x, y)
    assert torch.equal(found, plain)
    assert found.dtype == dtype
    assert not found.requires_grad
    assert torch.equal(x, given_inputs), "the network works in place: on a copy"


def test_narrow_inputs_are_widened() -> None:
    network, (x, y) = conv_network(torch.float32), images(1)
    found = sample_gradient_norm(network, x.bfloat16(), y)
    assert torch.equal(found, sample_gradient_norm(network, x.bfloat16().float(), y))


def test_signal_is_the_sum_over_sweeps_and_the_mean() -> None:
    network, (x, y) = conv_network(torch.float32), images(2, batch=6, dtype=torch.float32)
    signals, total, seen = SignalSet([CumulativeSampleGradient()], 7), torch.zeros(6).double(), torch.zeros(6)
    for epoch, rows in enumerate([[0, 1, 2, 3, 4], [4, 2, 0], [1, 2, 3, 4, 0]]):
        with torch.no_grad():
            network[7].weight.mul_(-1.5)
        sweep(signals, network, x, y, list(torch.tensor(rows).split(2))).commit(epoch)
        for i in rows:
            total[i] += slow_loss_gradient(network.double(), x[i].double(), int(y[i])).norm()
            seen[i] += 1
        network.float()
    scores = signals.compute()
    torch.testing.assert_close(scores["csg"][:5].double(), total[:5], rtol=1e-5, atol=0)
    torch.testing.assert_close(scores["csg_mean"][:5].double(), (total / seen)[:5], rtol=1e-5, atol=0)
    assert all(value[5:].isnan().all() for value in scores.values())


def test_no_part_in_it_has_the_batch() -> None:
    network, (x, y) = conv_network(torch.float32), images(4, batch=9, dtype=torch.float32)
    forward = one_sweep(CumulativeSampleGradient(), network, x, y, 9, torch.arange(9))
    backward = one_sweep(CumulativeSampleGradient(), network, x, y, 2, torch.arange(9).flip(0))
    torch.testing.assert_close(forward, backward, rtol=1e-5, atol=0)


def test_a_sample_that_is_not_finite_spoils_no_other() -> None:
    network, (x, y) = conv_network(torch.float32), images(4, batch=4, dtype=torch.float32)
    clean = one_sweep(CumulativeSampleGradient(), network, x, y, 4, torch.arange(4))
    x[2, 0, 0, 0] = torch.nan
    found = one_sweep(CumulativeSampleGradient(), network, x, y, 4, torch.arange(4))
    assert found.isnan().tolist() == [False, False, True, False]
    torch.testing.assert_close(found[[0, 1, 3]], clean[[0, 1, 3]], rtol=1e-5, atol=0)


def test_what_is_refused() -> None:
    network, (x, y) = conv_network(), images(0)
    with pytest.raises(ValueError, match=r"`network` must be in eval mode, got train mode: .* call network.eval\(\)"):
        sample_gradient_norm(network.train(), x, y)
    with pytest.raises(TypeError, match=r"`inputs` must be one floating point tensor, got torch\.int64: signals of"):
        sample_gradient_norm(network.eval(), x.long(), y)
    with pytest.raises(TypeError, match="`inputs` must be one floating point tensor, got dict"):
        sample_gradient_norm(network, {"pixels": x}, y)  # type: ignore[arg-type]


def test_an_observation_of_a_training_step() -> None:
    network, (x, y) = conv_network(torch.float32), images(0, dtype=torch.float32)
    signals = SignalSet([CumulativeSampleGradient()], 5)
    assert signals.needs == ("inputs", "network")
    with pytest.raises(ValueError, match="`network` is needed by CumulativeSampleGradient, and the observation has"):
        signals.observe(Observation(torch.arange(5), network(x.clone()), y, inputs=x))
