"""Networks: those of the noisy-label papers, as their code has them, and timm's through ``"timm:NAME"``.

Channels and classes are arguments everywhere, and weights are always random. They need torch only; timm is imported
when it is asked for.

Example:
    >>> import torch
    >>> net = build_backbone("cnn7", num_classes=10, in_channels=1, image_size=28)
    >>> net(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
"""

from noisylearn.models.aum_resnet import ThinResNet, resnet32_cifar
from noisylearn.models.build import BACKBONES, build_backbone
from noisylearn.models.cifar_resnet import CifarResNet, resnet18_cifar, resnet34_cifar, resnet50_cifar
from noisylearn.models.cnn import cnn7, cnn8, cnn9
from noisylearn.models.digits import digits_cnn
from noisylearn.models.mlp import MLP, mlp
from noisylearn.models.plain import PlainCNN
from noisylearn.models.preact_resnet import preact_resnet18
from noisylearn.models.timm_bridge import TimmBackbone

__all__ = [
    "BACKBONES",
    "MLP",
    "CifarResNet",
    "PlainCNN",
    "ThinResNet",
    "TimmBackbone",
    "build_backbone",
    "cnn7",
    "cnn8",
    "cnn9",
    "digits_cnn",
    "mlp",
    "preact_resnet18",
    "resnet18_cifar",
    "resnet32_cifar",
    "resnet34_cifar",
    "resnet50_cifar",
]
