"""A square hole in every image, somewhere else in each, on the device the images are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.data.augment import draw_fractions, part_of


def cutout(images: Tensor, row: Tensor, column: Tensor, size: int, fill: tuple[int, ...] = (0,)) -> Tensor:
    """Fill a square around each image's own centre; what of the square lies outside the image is lost.

    Args:
        images: ``(B, C, H, W)``, any dtype.
        row: ``(B,)`` int64 in ``[0, H)``, the centre's row: the first of the square's lower half.
        column: ``(B,)`` int64 in ``[0, W)``, the centre's column.
        size: Side of the square, in pixels.
        fill: Colour of the hole, per channel or one for all, in the images' own units.

    Returns:
        ``(B, C, H, W)`` in the dtype of ``images``.

    Raises:
        ValueError: ``fill`` is neither one number nor one per channel.

    Example:
        >>> image = torch.ones(1, 1, 3, 4, dtype=torch.int64)
        >>> cutout(image, row=torch.tensor([0]), column=torch.tensor([2]), size=2).tolist()
        [[[[1, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]]]]
    """
    if len(fill) not in (1, images.shape[1]):
        raise ValueError(f"`fill` must be one number or {images.shape[1]}, one per channel, got {fill}")
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    hole = (_within(rows, row, size)[:, :, None] & _within(columns, column, size)[:, None, :])[:, None]
    colour = torch.tensor(fill, dtype=images.dtype).to(images.device, non_blocking=True)
    return images * ~hole + colour.view(1, -1, 1, 1) * hole  # on a CPU much faster than `where`


def _within(places: Tensor, centre: Tensor, size: int) -> Tensor:
    first = centre[:, None] - size // 2
    return (places >= first) & (places < first + size)


@dataclass(frozen=True)
class Cutout:
    """Cut a square out of every image, its centre anywhere in the image.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017. Their
    hole is cut after normalisation and so has the mean colour; give ``fill`` the mean for the same.

    Args:
        size: Side of the square, in pixels.
        fill: Colour of the hole, per channel or one for all, in the images' own units; black by default.

    Raises:
        TypeError: ``size`` is not an integer.
        ValueError: ``size`` is below 1.

    Example:
        >>> hole = Cutout(size=16, fill=(125, 123, 114))
        >>> draws = hole.draw(6, torch.Generator().manual_seed(0))
        >>> hole(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).amax((2, 3))[0].tolist()
        [125, 123, 114]
    """

    size: int = 16
    fill: tuple[int, ...] = (0,)
    width: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive_int("size", self.size, "pass a side in pixels, e.g. 16")

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``(count, 2)`` int64: the centre's row and column, as fractions of the image's sides."""
        return draw_fractions((count, 2), generator)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Cut ``(B, C, H, W)`` images, any dtype, by ``(B, 2)`` draws."""
        row, column = draws.to(images.device, non_blocking=True).unbind(dim=1)
        height, width = images.shape[2:]
        return cutout(images, part_of(height, row), part_of(width, column), self.size, self.fill)
