"""A widened head says what it said before, and one thing more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from noisylearn.memorization import widen_head
from noisylearn.models import MLP


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_old_logits_stay(bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 3, bias=bias))).to(dtype).eval()
    x = torch.randn(5, 4, dtype=dtype)
    before = net(x)
    assert widen_head(net) is net
    after = net(x)
    assert after.shape == (5, 4)
    assert after.dtype == dtype
    torch.testing.assert_close(after[:, :3], before)
    assert after[:, 3].abs().min() > 0
    assert not any(part.training for part in net.modules())


def test_what_was_frozen_stays_frozen_and_the_new_parameters_learn() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    net[0].bias.requires_grad_(False)
    widen_head(net)
    assert [(n, p.requires_grad, p.is_leaf) for n, p in net.named_parameters()] == [
        ("0.weight", True, True),
        ("0.bias", False, True),
    ]
    net(torch.ones(1, 4)).sum().backward()
    assert net[0].weight.grad is not None
    assert net[0].weight.grad[-1].tolist() == [1.0] * 4


def test_by_name() -> None:
    net = nn.ModuleDict({"encoder": nn.Linear(2, 4), "classifier": MLP(3, in_features=4), "decoder": nn.Linear(4, 2)})
    widen_head(net, "classifier.classifier")
    classifier, decoder = net["classifier"], net["decoder"]
    assert isinstance(classifier, MLP)
    assert (classifier.classifier.out_features, decoder.out_features) == (4, 2)
    assert net["encoder"].out_features == 4


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`module` must have an nn\.Linear head, got Conv2d without one"):
        widen_head(nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="`name` must be one of the linear layers 0, 2, got 'fc'"):
        widen_head(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), "fc")
