"""GraNd against one backward pass per sample, and the identity of the last layer."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.models import build_backbone
from noisylearn.signals import SignalSet, el2n
from noisylearn.signals.grand import GraNd, grand
from tests.unit.signals.sweeping import AROUND, conv_network, images, one_sweep, sweep, untouched


def slow_grand(network: nn.Module, x: Tensor, target: Tensor) -> float:
    """The norm of one sample's gradient over the parameters that are trained."""
    trained = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(F.cross_entropy(network(x[None].clone()), target[None]), trained)
    return sum(g.square().sum().item() for g in gradients) ** 0.5


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 100])
def test_equals_one_sample_at_a_time(chunk_size: int) -> None:
    network, (x, y) = conv_network(), images(chunk_size)
    slow = [slow_grand(network, x[i], y[i]) for i in range(len(x))]
    assert grand(network, x, y, chunk_size).tolist() == pytest.approx(slow, rel=1e-10)
    network[1].weight.requires_grad_(False)
    without = [slow_grand(network, x[i], y[i]) for i in range(len(x))]
    assert grand(network, x, y, chunk_size).tolist() == pytest.approx(without, rel=1e-10)
    assert all(a < b for a, b in zip(without, slow, strict=True))


def test_the_identity_of_the_last_layer() -> None:
    """``||grad_{W,b} l||^2 = ||p - onehot||^2 (||h||^2 + 1)``."""
    network, (x, y) = conv_network(), images(0, batch=8)
    network.requires_grad_(False)[7].requires_grad_(True)
    features = network[:7](x.clone())
    expected = el2n(network[7](features).softmax(1), y) * (features.square().sum(1) + 1).sqrt()
    torch.testing.assert_close(grand(network, x, y), expected, rtol=1e-10, atol=0)


def test_a_parameter_that_is_used_twice_counts_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).tanh())  # type: ignore[no-any-return]

    network, x, y = Tied().double().eval(), torch.randn(3, 4).double(), torch.tensor([0, 3, 1])
    assert grand(network, x, y).tolist() == pytest.approx([slow_grand(network, x[i], y[i]) for i in range(3)])


@pytest.mark.parametrize("name", ["digits_cnn", "cnn7", "resnet18_cifar"])
def test_our_networks_take_it_without_a_warning(name: str) -> None:
    channels, side = (1, 8) if name == "digits_cnn" else (3, 32)
    network = build_backbone(name, num_classes=4, in_channels=channels, image_size=side).eval()
    x, y = images(0, 2, side, torch.float32, channels)
    found = grand(network, x, y)
    assert found.tolist() == pytest.approx([slow_grand(network, x[i], y[i]) for i in range(2)], rel=1e-3)


def test_attention_takes_it_without_a_warning() -> None:
    """Fused attention would go sample by sample, and say so."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 4)).double().eval()
    x, y = torch.randn(3, 3, 8).double(), torch.tensor([0, 3, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = grand(network, x, y)
    assert found.tolist() == pytest.approx([slow_grand(network, x[i], y[i]) for i in range(3)], rel=1e-10)


@pytest.mark.parametrize("around", AROUND)
def test_the_same_under_every_mode_and_nothing_is_touched(around: str) -> None:
    network, (x, y) = conv_network(torch.float32), images(1, dtype=torch.float32)
    with untouched(network):  # which freezes a parameter
        plain = grand(network, x, y)
    with AROUND[around](), untouched(network):
        found = grand(network, x.clone(), y)
    assert torch.equal(found, plain)
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_signal_is_the_mean_over_sweeps() -> None:
    network, (x, y) = conv_network(torch.float32), images(2, batch=4, dtype=torch.float32)
    signals, expected = SignalSet([GraNd(chunk_size=2)], 5), torch.zeros(4)
    for epoch in range(2):
        with torch.no_grad():
            network[7].weight.mul_(-1.5)
        sweep(signals, network, x, y, list(torch.randperm(4).split(3))).commit(epoch)
        expected += torch.tensor([slow_grand(network, x[i], y[i]) for i in range(4)]) / 2
    found = signals.compute()["grand"]
    torch.testing.assert_close(found[:4], expected, rtol=1e-4, atol=0)
    assert found[4].isnan()


def test_no_part_in_it_has_the_batch() -> None:
    network, (x, y) = conv_network(torch.float32), images(4, batch=9, dtype=torch.float32)
    forward = one_sweep(GraNd(), network, x, y, 9, torch.arange(9))
    backward = one_sweep(GraNd(chunk_size=3), network, x, y, 2, torch.arange(9).flip(0))
    torch.testing.assert_close(forward, backward, rtol=1e-5, atol=0)


def test_what_is_refused() -> None:
    network, (x, y) = conv_network(), images(0)
    for make in (GraNd, lambda chunk_size: grand(network, x, y, chunk_size)):
        with pytest.raises(ValueError, match="`chunk_size` must be at least 1, got 0"):
            make(chunk_size=0)
    with pytest.raises(ValueError, match="`network` must be in eval mode, got train mode"):
        grand(network.train(), x, y)
    with pytest.raises(ValueError, match="`network` must have parameters that require a gradient, got none: unfreeze"):
        grand(network.eval().requires_grad_(False), x, y)
