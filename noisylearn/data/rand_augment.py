"""RandAugment, per sample, on the device the images are on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.data.operations import HIGHEST, Operation, apply_operations

_NAMES = ("Identity", *HIGHEST, "Posterize", "Solarize", "AutoContrast", "Equalize")
_LEVELS = 31


@dataclass(frozen=True)
class RandAugment:
    """A few operations for every image, each any of 14, all of one strength.

    The same operations, on the same pixels, as ``torchvision.transforms.v2.RandAugment(num_ops, magnitude)``: the
    nearest pixel in shears and turns, black from outside.

    Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2020.

    Args:
        num_ops: Operations an image.
        magnitude: Strength of all of them, in ``[0, 30]``.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: An argument is out of range.

    Example:
        >>> policy = RandAugment(num_ops=1, magnitude=3)
        >>> draws = policy.draw(6, torch.Generator().manual_seed(0))
        >>> policy(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).shape
        torch.Size([6, 3, 32, 32])
    """

    num_ops: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive_int("num_ops", self.num_ops, "pass how many operations an image gets, e.g. 2")
        if self.magnitude != 0:
            check_positive_int("magnitude", self.magnitude, "pass a level of 0..30, e.g. 9")
        if self.magnitude >= _LEVELS:
            raise ValueError(f"`magnitude` must be in [0, {_LEVELS - 1}], got {self.magnitude}: pass e.g. 9")

    @property
    def width(self) -> int:
        """How many numbers a draw takes."""
        return self.num_ops

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What there is to draw from: each name twice, the second time in the other direction if it has one."""
        either = [(name, sign if name in HIGHEST else 1) for name in _NAMES for sign in (1, -1)]
        return tuple(Operation(name, self.magnitude, _LEVELS, sign) for name, sign in either)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``(count, num_ops)`` int64: positions in `operations`."""
        return torch.randint(2 * len(_NAMES), (count, self.num_ops), generator=generator)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, 1 or 3, H, W)`` uint8 images by ``(B, num_ops)`` draws."""
        return apply_operations(images, draws, self.operations)
