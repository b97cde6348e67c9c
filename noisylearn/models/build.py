"""From a name to a network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from noisylearn._checks import check_positive_int, unknown_name
from noisylearn.models.aum_resnet import resnet32_cifar
from noisylearn.models.cifar_resnet import resnet18_cifar, resnet34_cifar, resnet50_cifar
from noisylearn.models.cnn import cnn7, cnn8, cnn9
from noisylearn.models.digits import digits_cnn
from noisylearn.models.mlp import mlp
from noisylearn.models.preact_resnet import preact_resnet18
from noisylearn.models.timm_bridge import TimmBackbone

_ANY_SIZE: dict[str, Callable[[int, int], nn.Module]] = {
    "preact_resnet18": preact_resnet18,
    "resnet18_cifar": resnet18_cifar,
    "resnet32_cifar": resnet32_cifar,
    "resnet34_cifar": resnet34_cifar,
    "resnet50_cifar": resnet50_cifar,
}
_ONE_SIZE: dict[str, Callable[[int, int, int], nn.Module]] = {
    "cnn7": cnn7,
    "cnn8": cnn8,
    "cnn9": cnn9,
    "digits_cnn": digits_cnn,
    "mlp": mlp,
}
_TIMM = "timm:"

BACKBONES: tuple[str, ...] = tuple(sorted([*_ANY_SIZE, *_ONE_SIZE]))
"""The names of our own networks; ``"timm:NAME"`` reaches timm's."""


def build_backbone(
    backbone: str | nn.Module, num_classes: int, in_channels: int = 3, image_size: int = 32
) -> nn.Module:
    """Return the network of that name, with fresh random weights, or the module itself.

    Args:
        backbone: One of `BACKBONES`, ``"timm:NAME"`` (see `TimmBackbone` for what it expects of its input), or any
            module that maps ``(B, ...)`` inputs to ``(B, num_classes)`` logits: it is returned as it is and the other
            arguments are not used.
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width. The ResNets average over all positions and take any size; the others are built
            for this one.

    Returns:
        A module from ``(B, in_channels, image_size, image_size)`` to ``(B, num_classes)`` logits.

    Raises:
        TypeError: ``backbone`` is neither, or a number is not an integer.
        ValueError: There is no such name (the message gives the nearest), a number is below 1, or the images are too
            small for the network.

    Example:
        >>> build_backbone("digits_cnn", num_classes=10, in_channels=1, image_size=8).name
        'digits_cnn'
        >>> build_backbone("resnet18_cifr", num_classes=10)
        Traceback (most recent call last):
        ValueError: no backbone `resnet18_cifr`; did you mean `resnet18_cifar` or ...
    """
    if isinstance(backbone, nn.Module):
        return backbone
    if not isinstance(backbone, str):
        raise TypeError(f"`backbone` must be a name or a torch.nn.Module, got {backbone!r}")
    check_positive_int("num_classes", num_classes)
    check_positive_int("in_channels", in_channels)
    check_positive_int("image_size", image_size)
    if backbone.startswith(_TIMM):
        return TimmBackbone(backbone.removeprefix(_TIMM), num_classes, in_channels)
    if backbone in _ANY_SIZE:
        return _ANY_SIZE[backbone](num_classes, in_channels)
    if backbone in _ONE_SIZE:
        return _ONE_SIZE[backbone](num_classes, in_channels, image_size)
    raise ValueError(unknown_name("backbone", backbone, [*BACKBONES, f"{_TIMM}NAME"]))
