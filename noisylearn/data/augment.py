"""Random crop and horizontal flip, per sample, on the device the images are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn._checks import check_positive_int


def crop_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, padding: int) -> Tensor:
    """Shift every image by its own offset inside a zero border, and mirror those asked for.

    The crop and the flip are one gather over the whole batch. The border is zero before normalisation, so
    it is black, as it is in torchvision's ``RandomCrop(size, padding)``.

    Args:
        images: ``(B, C, H, W)``, any dtype.
        top: ``(B,)`` int64 in ``[0, 2 * padding]``, first row of the crop in the padded image.
        left: ``(B,)`` int64 in ``[0, 2 * padding]``, first column of the crop.
        flip: ``(B,)`` bool or 0/1, mirror left and right after the crop.
        padding: Width of the border, in pixels.

    Returns:
        ``(B, C, H, W)`` in the dtype of ``images``.

    Example:
        >>> image = torch.arange(4).view(1, 1, 2, 2)
        >>> one, zero = torch.tensor([1]), torch.tensor([0])
        >>> crop_flip(image, top=one, left=zero, flip=zero, padding=1).tolist()
        [[[[0, 0], [0, 2]]]]
        >>> crop_flip(image, top=one, left=one, flip=one, padding=1).tolist()
        [[[[1, 0], [3, 2]]]]
    """
    batch, channels, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    mirrored = torch.where(flip.bool()[:, None], width - 1 - columns, columns) + left[:, None]
    pixels = (rows + top[:, None])[:, :, None] * (width + 2 * padding) + mirrored[:, None, :]
    pixels = pixels.view(batch, 1, height * width).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(batch, channels, height, width)


class Augmentation(Protocol):
    """What a loader asks of an augmentation: chance apart from work, so that the same draws give the same images.

    Attributes:
        width: How many numbers a sample's draw takes.
    """

    @property
    def width(self) -> int: ...  # noqa: D102

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw, from a CPU generator, what happens to each of ``count`` samples: ``(count, width)`` int64, CPU."""

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, C, H, W)`` images, wherever they are, by ``(B, width)`` draws on the CPU, without waiting."""


_PARTS = 1 << 24  # a fraction is drawn as one of so many parts: its float32 is exact


def draw_fractions(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw integers that stand for numbers uniform in ``[0, 1)``; `part_of` and `between` say of what."""
    return torch.randint(_PARTS, shape, generator=generator)


def part_of(count: int, fractions: Tensor) -> Tensor:
    """Return integers uniform in ``[0, count)``.

    Example:
        >>> part_of(32, torch.tensor([0, 1 << 23, (1 << 24) - 1])).tolist()
        [0, 16, 31]
    """
    return fractions * count // _PARTS


def between(low: float, high: float, fractions: Tensor) -> Tensor:
    """Return float64 numbers uniform in ``[low, high)``.

    Example:
        >>> between(-1.0, 1.0, torch.tensor([0, 1 << 23])).tolist()
        [-1.0, 0.0]
    """
    return low + (high - low) / _PARTS * fractions.double()


@dataclass(frozen=True)
class Augment:
    """The augmentation of the CIFAR papers: pad, crop at random, flip half of the images.

    Args:
        crop_padding: Border in pixels; the crop moves by up to this much each way. 0 is no crop.
        flip: Whether to mirror left and right with probability one half.

    Raises:
        TypeError: ``crop_padding`` is not an integer.
        ValueError: ``crop_padding`` is negative.

    Example:
        >>> augment = Augment(crop_padding=4, flip=True)
        >>> draws = augment.draw(6, torch.Generator().manual_seed(0))
        >>> augment(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).shape
        torch.Size([6, 3, 32, 32])
    """

    crop_padding: int = 4
    flip: bool = True
    width: ClassVar[int] = 3

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.crop_padding != 0:
            check_positive_int("crop_padding", self.crop_padding, "pass a width in pixels, e.g. 4, or 0 for no crop")

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw what happens to each of ``count`` samples.

        Args:
            count: Number of samples.
            generator: A CPU generator, so that every device sees the same draws.

        Returns:
            ``(count, 3)`` int64 on the CPU: top, left, flip (0 or 1).
        """
        offsets = torch.randint(2 * self.crop_padding + 1, (count, 2), generator=generator)
        flips = torch.randint(2 if self.flip else 1, (count, 1), generator=generator)
        return torch.cat([offsets, flips], dim=1)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, C, H, W)`` images, any dtype, by ``(B, 3)`` draws; neither waits for the device."""
        if self.crop_padding == 0 and not self.flip:
            return images
        top, left, flip = draws.to(images.device, non_blocking=True).unbind(dim=1)
        return crop_flip(images, top, left, flip, self.crop_padding)
