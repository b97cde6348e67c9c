"""The thin ResNet-32 for CIFAR that AUM uses (Pleiss et al., NeurIPS 2020)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.models.cifar_resnet import conv3x3


class PadShortcut(nn.Module):
    """Average-pool by ``stride`` and append channels of zeros: a shortcut without parameters.

    Args:
        extra_channels: Number of channels of zeros.
        stride: Side and step of the pooling window. Odd sizes round up, as the convolution beside it does.
    """

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.pool = nn.AvgPool2d(stride, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C + extra_channels, H/stride, W/stride)``."""
        return F.pad(self.pool(x), (0, 0, 0, 0, 0, self.extra_channels))


class ThinBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a parameter-free shortcut.

    Args:
        in_channels: Channels in.
        width: Channels out.
        stride: Stride of the first convolution.
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        changes = stride != 1 or in_channels != width
        self.shortcut = PadShortcut(width - in_channels, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, width, H/stride, W/stride)``."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + self.shortcut(x)
        return torch.relu(out)


class ThinResNet(nn.Module):
    """Stem of 16 channels, three stages of widths 16, 32, 64, global average, linear classifier.

    Convolutions start from He's normal distribution, ``std = sqrt(2 / (9 * out_channels))``; the classifier from
    PyTorch's default.

    Args:
        blocks_per_stage: ``n`` of the ``6n + 2`` layers.
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> ThinResNet(1, num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, blocks_per_stage: int, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        stages: list[nn.Module] = []
        channels = 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            blocks: list[nn.Module] = [ThinBlock(channels, width, stride)]
            blocks += [ThinBlock(width, width, 1) for _ in range(blocks_per_stage - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (9 * module.out_channels)))

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` images to ``(B, num_classes)`` logits."""
        out = torch.relu(self.bn1(self.conv1(images)))
        logits: Tensor = self.classifier(self.pool(self.stages(out)).flatten(1))
        return logits


def resnet32_cifar(num_classes: int, in_channels: int = 3) -> ThinResNet:
    """Return the thin ResNet-32: 0.46 M parameters, 0.069 G multiply-accumulates at 32x32.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> sum(p.numel() for p in resnet32_cifar(num_classes=10).parameters())
        464154
    """
    return ThinResNet(5, num_classes, in_channels)
