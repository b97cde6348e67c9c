"""Names, modules and errors of `build_backbone`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from noisylearn.models import BACKBONES, build_backbone


def test_names() -> None:
    assert set(BACKBONES) == {
        "resnet18_cifar",
        "resnet34_cifar",
        "resnet50_cifar",
        "resnet32_cifar",
        "preact_resnet18",
        "cnn7",
        "cnn8",
        "cnn9",
        "digits_cnn",
        "mlp",
    }


def test_a_module_passes_through_untouched() -> None:
    module = nn.Linear(3, 2)
    assert build_backbone(module, num_classes=99) is module


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no backbone `preact_resnet_18`; did you mean `preact_resnet18`.*\nknown: "):
        build_backbone("preact_resnet_18", 10)


@pytest.mark.parametrize("argument", ["num_classes", "in_channels", "image_size"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_numbers_are_checked(argument: str, value: object, error: type[Exception]) -> None:
    arguments: dict[str, object] = {"num_classes": 10} | {argument: value}
    with pytest.raises(error, match=f"`{argument}` must be"):
        build_backbone("digits_cnn", **arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"`backbone` must be a name or a torch\.nn\.Module, got 3"):
        build_backbone(3, 10)  # type: ignore[arg-type]  # wrong on purpose


def test_weights_are_random_and_follow_the_seed() -> None:
    torch.manual_seed(0)
    first, second = build_backbone("cnn7", 10), build_backbone("cnn7", 10)
    torch.manual_seed(0)
    again = build_backbone("cnn7", 10)
    assert not torch.equal(first.classifier.weight, second.classifier.weight)  # type: ignore[union-attr, arg-type]  # ours
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
