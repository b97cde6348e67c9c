"""The "PreAct ResNet-18" of DivideMix, ELR+, SOP, UNICON and PES(semi): a hybrid, not the textbook network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisylearn.models.cifar_resnet import CifarResNet, conv3x3


class PreActBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions (He et al., ECCV 2016).

    The shortcut's 1x1 convolution, where the shape changes, has no batch norm and takes the activated input. Without
    it the shortcut is the activated input too, not the raw one as in the paper: so it is in the code that the
    noisy-label papers share.

    Args:
        in_channels: Channels in.
        width: Channels out.
        stride: Stride of the first convolution.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != width:
            self.shortcut = nn.Conv2d(in_channels, width, kernel_size=1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, width, H/stride, W/stride)``."""
        active = torch.relu(self.bn1(x))
        out = self.conv1(active)
        out = self.conv2(torch.relu(self.bn2(out)))
        total: Tensor = out + self.shortcut(active)
        return total


def preact_resnet18(num_classes: int, in_channels: int = 3) -> CifarResNet:
    """Return the hybrid PreAct ResNet-18: 11.2 M parameters, 0.555 G multiply-accumulates at 32x32.

    A textbook pre-activation network has a bare stem and ends with batch norm and ReLU. This one, as in the code of
    DivideMix (Li et al., ICLR 2020), has batch norm and ReLU after the stem and nothing before the pooling.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Example:
        >>> sum(p.numel() for p in preact_resnet18(num_classes=10).parameters())
        11171274
    """
    return CifarResNet(PreActBlock, PreActBlock.expansion, (2, 2, 2, 2), num_classes, in_channels)
