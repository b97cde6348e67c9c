"""ResNets (He et al., CVPR 2016) in the form that most noisy-label papers train on CIFAR.

It is the structure of the widely copied "pytorch-cifar" project: a 3x3 stem of stride 1 and no max-pooling, widths 64
to 512, strides 1, 2, 2, 2, a 1x1 convolution with batch norm where the shape changes, and PyTorch's default
initialisation (neither He's fan-out nor a zero last batch norm, unlike torchvision). Pooling is global, which at
32x32 is the original's 4x4 average and lets other image sizes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution with padding 1 and no bias.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        stride: Step of the window.
    """
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        in_channels: Channels in.
        width: Channels out.
        stride: Stride of the first convolution.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, width, H/stride, W/stride)``."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + self.shortcut(x)
        return torch.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; four times ``width`` channels out.

    Args:
        in_channels: Channels in.
        width: Channels of the 3x3 convolution.
        stride: Stride of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.expansion * width, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)
        self.shortcut = _shortcut(in_channels, self.expansion * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, 4 * width, H/stride, W/stride)``."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + self.shortcut(x)
        return torch.relu(out)


class CifarResNet(nn.Module):
    """Stem, four stages of residual blocks, global average, linear classifier.

    Args:
        block: Makes a block from ``(in_channels, width, stride)``.
        expansion: Channels out of a block, as a multiple of its width.
        depths: Number of blocks in each of the four stages.
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> net = CifarResNet(BasicBlock, 1, (1, 1, 1, 1), num_classes=10, in_channels=1)
        >>> net(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        expansion: int,
        depths: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, 64)
        self.bn1 = nn.BatchNorm2d(64)
        stages: list[nn.Module] = []
        channels = 64
        for depth, width, stride in zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True):
            blocks: list[nn.Module] = []
            for i in range(depth):
                blocks.append(block(channels, width, stride if i == 0 else 1))
                channels = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` images to ``(B, num_classes)`` logits."""
        out = torch.relu(self.bn1(self.conv1(images)))
        out = self.pool(self.stages(out)).flatten(1)
        logits: Tensor = self.classifier(out)
        return logits


def _resnet(block: Any, depths: Sequence[int], num_classes: int, in_channels: int) -> CifarResNet:
    return CifarResNet(block, block.expansion, depths, num_classes, in_channels)


def resnet18_cifar(num_classes: int, in_channels: int = 3) -> CifarResNet:
    """Return the CIFAR ResNet-18: 11.2 M parameters, 0.555 G multiply-accumulates at 32x32.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> sum(p.numel() for p in resnet18_cifar(num_classes=10).parameters())
        11173962
    """
    return _resnet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels)


def resnet34_cifar(num_classes: int, in_channels: int = 3) -> CifarResNet:
    """Return the CIFAR ResNet-34: 21.3 M parameters, 1.159 G multiply-accumulates at 32x32 (ELR, CIFAR-N).

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> sum(p.numel() for p in resnet34_cifar(num_classes=10).parameters())
        21282122
    """
    return _resnet(BasicBlock, (3, 4, 6, 3), num_classes, in_channels)


def resnet50_cifar(num_classes: int, in_channels: int = 3) -> CifarResNet:
    """Return the CIFAR ResNet-50: 23.5 M parameters, 1.298 G multiply-accumulates at 32x32.

    CDR's own copy pads its stem by 0 (32 becomes 30); this one does not.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> sum(p.numel() for p in resnet50_cifar(num_classes=10).parameters())
        23520842
    """
    return _resnet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels)
