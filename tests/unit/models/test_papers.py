"""The networks have the sizes, shapes and starting weights of the papers' code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from noisylearn.models import BACKBONES, PlainCNN, build_backbone, cnn9, preact_resnet18, resnet18_cifar, resnet32_cifar
from noisylearn.models.aum_resnet import PadShortcut

PARAMETERS = {  # 10 classes, 3 channels, 32x32
    "resnet18_cifar": 11_173_962,
    "resnet34_cifar": 21_282_122,
    "resnet50_cifar": 23_520_842,
    "preact_resnet18": 11_171_274,
    "resnet32_cifar": 464_154,
    "cnn9": 4_434_570,
    "cnn8": 1_639_794,
    "cnn7": 518_150,
}
GIGA_MACS = {
    "resnet18_cifar": 0.555,
    "resnet34_cifar": 1.159,
    "resnet50_cifar": 1.298,
    "preact_resnet18": 0.555,
    "resnet32_cifar": 0.069,
    "cnn9": 0.746,
    "cnn8": 0.134,
    "cnn7": 0.112,
}
RESNETS = ["resnet18_cifar", "resnet34_cifar", "resnet50_cifar", "preact_resnet18", "resnet32_cifar"]


def count_macs(net: nn.Module, images: Tensor) -> int:
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        total += output.numel() * module.weight[0].numel()

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    net(images)
    return total


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        net = build_backbone(name, num_classes=10)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", GIGA_MACS)
def test_multiply_accumulates(name: str) -> None:
    with torch.device("meta"):
        net = build_backbone(name, num_classes=10).eval()
        macs = count_macs(net, torch.zeros(1, 3, 32, 32))
    assert macs / 1e9 == pytest.approx(GIGA_MACS[name], abs=6e-4)


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("name", BACKBONES)
def test_channels_classes_and_sizes_are_arguments(name: str, size: int) -> None:
    with torch.device("meta"):
        net = build_backbone(name, num_classes=7, in_channels=1, image_size=size)
        assert net(torch.zeros(5, 1, size, size)).shape == (5, 7)


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_take_any_size(name: str) -> None:
    with torch.device("meta"):
        net = build_backbone(name, num_classes=3, image_size=32)
        for size in (8, 27, 64):
            assert net(torch.zeros(2, 3, size, size)).shape == (2, 3)


@pytest.mark.parametrize("name", ["resnet32_cifar", "cnn7", "cnn8", "digits_cnn", "mlp"])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    net = build_backbone(name, num_classes=4, in_channels=2, image_size=16)
    net(torch.randn(8, 2, 16, 16)).square().sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if key.endswith("weight"):  # a bias before batch norm gets none but rounding
            assert parameter.grad.abs().sum() > 1e-4, key


def seen_by_pool(net: nn.Module) -> Tensor:
    seen: list[Tensor] = []
    pool = net.get_submodule("pool")
    pool.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    net.eval()(torch.randn(1, 3, 8, 8))
    return seen[0]


def test_preact_ends_without_activation_and_resnet_with_one() -> None:
    torch.manual_seed(0)
    assert (seen_by_pool(preact_resnet18(10)) < 0).any()
    assert (seen_by_pool(resnet18_cifar(10)) >= 0).all()


def test_preact_shortcuts_are_bare_convolutions() -> None:
    shortcuts = [m for key, m in preact_resnet18(10).named_modules() if key.endswith("shortcut")]
    assert [type(m) for m in shortcuts].count(nn.Conv2d) == 3
    assert {type(m) for m in shortcuts} == {nn.Conv2d, nn.Identity}


def test_preact_shortcut_starts_from_the_activated_input() -> None:
    torch.manual_seed(0)
    block = preact_resnet18(10).stages[0][0].eval()  # type: ignore[index]  # a Sequential of them
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 64, 4, 4)
    assert torch.equal(block(x), torch.relu(block.bn1(x)))


def test_pad_shortcut_averages_and_appends_zeros() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    out = PadShortcut(extra_channels=2, stride=2)(x)
    assert torch.equal(out[:, :1], torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    assert out.shape == (1, 3, 2, 2)
    assert not out[:, 1:].any()


def test_resnet32_starts_from_he_normal() -> None:
    torch.manual_seed(0)
    convs = [m for m in resnet32_cifar(10).modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 31
    wide = [m for m in convs if m.out_channels == 64]
    for conv in wide:
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)
    assert any((conv.weight.abs() > 3.5 * conv.weight.std()).any() for conv in wide)  # normal, not uniform


def test_cnn8_starts_from_he_and_xavier_uniform() -> None:
    torch.manual_seed(0)
    net = build_backbone("cnn8", num_classes=10)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            bound = math.sqrt(6 / module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            bound = math.sqrt(6 / (module.in_features + module.out_features))
        else:
            continue
        assert module.weight.abs().max().item() == pytest.approx(bound, rel=0.02)


def test_cnn9_has_no_dropout_unless_asked_and_then_only_in_training() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 28, 28)
    for dropout, differs in ((0.0, False), (0.25, True)):
        net = cnn9(10, image_size=28, dropout=dropout)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
        with torch.no_grad():
            assert torch.equal(net(images), net(images)) is not differs
            net.eval()
            assert torch.equal(net(images), net(images))


@pytest.mark.parametrize(("name", "smallest"), [("cnn9", 28), ("cnn8", 8), ("cnn7", 8), ("digits_cnn", 4)])
def test_smallest_image(name: str, smallest: int) -> None:
    with torch.device("meta"):
        net = build_backbone(name, 10, image_size=smallest)
        assert net(torch.zeros(2, 3, smallest, smallest)).shape == (2, 10)
    with pytest.raises(ValueError, match=rf"`image_size` must be at least {smallest} for {name}, got {smallest - 1}: "):
        build_backbone(name, 10, image_size=smallest - 1)


@pytest.mark.parametrize("name", ["cnn9", "cnn8", "cnn7", "digits_cnn"])
def test_images_of_another_shape_are_refused(name: str) -> None:
    with torch.device("meta"):
        net = build_backbone(name, 10)
        assert isinstance(net, PlainCNN)
        expected = rf"`images` must be \(B, 3, 32, 32\) for {name}, got \(2, 3, 28, 28\): build"
        with pytest.raises(ValueError, match=expected):
            net(torch.zeros(2, 3, 28, 28))
        with pytest.raises(ValueError, match=r"got \(3, 32, 32\)"):
            net(torch.zeros(3, 32, 32))


def test_mlp_refuses_another_number_of_features() -> None:
    net = build_backbone("mlp", 10, in_channels=1, image_size=8)
    assert net(torch.zeros(2, 64)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"`inputs` must hold 64 numbers per sample, got shape \(2, 65\)"):
        net(torch.zeros(2, 65))
