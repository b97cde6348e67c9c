"""timm's networks get the input they expect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.models import TimmBackbone, build_backbone


def fed_to_network(net: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(net, TimmBackbone)
    seen: list[Tensor] = []
    handle = net.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    assert net.eval()(images).shape == (len(images), 6)
    handle.remove()
    return seen[0]


def config_of(net: nn.Module) -> dict[str, Any]:
    config: Any = net.get_submodule("network").pretrained_cfg
    assert config["input_size"][0] == 3
    return dict(config)


def test_images_are_normalised_and_resized_as_configured() -> None:
    net = build_backbone("timm:test_resnet", num_classes=6)
    images = torch.rand(2, 3, 32, 32)
    expected = F.interpolate(images, size=config_of(net)["input_size"][1:], mode="bilinear")
    for channel in range(3):
        expected[:, channel] -= config_of(net)["mean"][channel]
        expected[:, channel] /= config_of(net)["std"][channel]
    assert torch.allclose(fed_to_network(net, images), expected, atol=1e-5)


def test_images_of_the_networks_size_are_not_resized() -> None:
    net = TimmBackbone("test_resnet", num_classes=6)
    images = torch.rand(1, 3, *net.input_size)
    assert torch.equal(fed_to_network(net, images), (images - net.mean) / net.std)


def test_one_channel_gets_the_average_constants() -> None:
    net = TimmBackbone("test_resnet", num_classes=6, in_channels=1)
    assert net.mean.shape == (1, 1, 1, 1)
    assert net.mean.item() == pytest.approx(sum(config_of(net)["mean"]) / 3)
    assert net.std.item() == pytest.approx(sum(config_of(net)["std"]) / 3)
    assert fed_to_network(net, torch.rand(2, 1, 28, 28)).shape == (2, 1, *net.input_size)


def test_constants_stay_out_of_checkpoints() -> None:
    assert all(key.startswith("network.") for key in TimmBackbone("test_resnet", 6).state_dict())


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"no timm network `resnet_18`; did you mean .*`resnet18`.*\nsee timm.list_models"
    ):
        build_backbone("timm:resnet_18", 10)


def test_bytes_and_wrong_shapes_are_refused() -> None:
    net = TimmBackbone("test_resnet", 6)
    with pytest.raises(TypeError, match=r"`images` must be floating point in \[0, 1\], got torch.uint8: convert"):
        net(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"`images` must be \(B, 3, H, W\), got \(1, 1, 32, 32\)"):
        net(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize("images", [torch.full((1, 3, 8, 8), -0.8), torch.full((1, 3, 8, 8), 1.9)])
def test_images_that_are_normalised_already_are_refused(images: torch.Tensor) -> None:
    net = TimmBackbone("test_resnet", num_classes=6)
    with pytest.raises(ValueError, match=r"`images` must be in \[0, 1\], since the network .*: switch off the data's"):
        net(images)
    assert net(torch.rand(1, 3, 8, 8)).shape == (1, 6)
