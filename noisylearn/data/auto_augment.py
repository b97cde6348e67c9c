"""AutoAugment's policy for CIFAR-10, per sample, on the device the images are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from noisylearn.data.operations import HIGHEST, Operation, apply_operations

# Each row is drawn with equal chance: two operations, with the probability of each and its level of 0..9.
_CIFAR10 = (
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
)
_CHANCE = torch.tensor([[chance for _, chance, _ in row] for row in _CIFAR10])


def _operation(name: str, level: int, sign: int) -> Operation:
    return Operation(name, level, 10, sign if name in HIGHEST else 1)


OPERATIONS = tuple(
    dict.fromkeys(
        [Operation("Identity")]
        + [_operation(name, level, sign) for row in _CIFAR10 for name, _, level in row for sign in (1, -1)]
    )
)
"""What the policy is made of; a draw is two positions in it."""
_CODE = torch.tensor(
    [
        [[OPERATIONS.index(_operation(name, level, sign)) for sign in (1, -1)] for name, _, level in row]
        for row in _CIFAR10
    ]
)


@dataclass(frozen=True)
class AutoAugment:
    """Two operations for every image, of one of the 25 pairs that AutoAugment found on CIFAR-10.

    The same policy, on the same pixels, as ``torchvision.transforms.v2.AutoAugment(AutoAugmentPolicy.CIFAR10)``: the
    nearest pixel in shears and turns, black from outside.

    Source: Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", 2019.

    Example:
        >>> policy = AutoAugment()
        >>> draws = policy.draw(6, torch.Generator().manual_seed(0))
        >>> policy(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).shape
        torch.Size([6, 3, 32, 32])
    """

    width: ClassVar[int] = 2

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``(count, 2)`` int64: positions in `OPERATIONS`, of which the first leaves an image alone."""
        pair = torch.randint(len(_CIFAR10), (count,), generator=generator)
        sign = torch.randint(2, (count, 2), generator=generator)
        done = torch.rand(count, 2, generator=generator) < _CHANCE[pair]
        return _CODE[pair].gather(2, sign[:, :, None]).squeeze(2) * done

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, 1 or 3, H, W)`` uint8 images by ``(B, 2)`` draws."""
        return apply_operations(images, draws, OPERATIONS)
