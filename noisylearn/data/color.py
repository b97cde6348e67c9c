"""Brightness, contrast, saturation, sharpness and hue of a batch, by a factor of its own for each image.

The arithmetic is torchvision's (`torchvision.transforms.v2.functional.adjust_*` on one image), to the pixel for uint8
images except for the hue: there, pixels are truncated, and a last bit decides between two levels. So products are
rounded where the CPU's kernels round them, sums of pixels are exact in float32, and every device agrees.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RED, _GREEN, _BLUE = torch.tensor([0.2989, 0.587, 0.114]).tolist()  # their shares of grey, in float32


def shares(factors: Tensor) -> Tensor:
    """Return how much of the image and of what it is blended with: ``factors`` and the rest to one, float32.

    Args:
        factors: ``(...)`` float64. 0 is no image, 1 the image itself, above 1 the opposite of blending.

    Returns:
        ``(..., 2)`` float32. Each is rounded once, as torchvision's Python numbers are.

    Example:
        >>> shares(torch.tensor([1.25], dtype=torch.float64)).tolist()
        [[1.25, -0.25]]
    """
    return torch.stack([factors, 1 - factors], dim=-1).float()


def brightness(images: Tensor, share: Tensor) -> Tensor:
    """Blend with black.

    Args:
        images: ``(B, C, H, W)`` uint8, or floating point in 0..1. C is 1 or 3, here as in the rest of this module.
        share: ``(B, 2)`` float32 on the images' device, from `shares`.

    Example:
        >>> image = torch.tensor([[[[100, 200]]]], dtype=torch.uint8)
        >>> brightness(image, shares(torch.tensor([1.5], dtype=torch.float64))).tolist()
        [[[[150, 255]]]]
    """
    return _as_pixels(images.float() * _per_image(share, 0), images.dtype)


def saturation(images: Tensor, share: Tensor) -> Tensor:
    """Blend with the grey image; a grey image stays as it is. Arguments as of `brightness`."""
    return images if images.shape[1] == 1 else _blend(images, _gray(images), share)


def contrast(images: Tensor, share: Tensor) -> Tensor:
    """Blend with the mean of the grey image. Arguments as of `brightness`."""
    gray = images.float() if images.shape[1] == 1 else _gray(images)
    return _blend(images, gray.sum(dim=(1, 2, 3), keepdim=True) / (images.shape[2] * images.shape[3]), share)


def sharpness(images: Tensor, share: Tensor) -> Tensor:
    """Blend with the blurred image; the border, and an image of at most two pixels a side, stay as they are.

    Arguments as of `brightness`. The blur weighs a pixel five times as much as each of its eight neighbours.
    """
    if min(images.shape[2:]) <= 2:
        return images
    pixels = images.float()
    inner = pixels[..., 1:-1, 1:-1]
    threes = pixels[..., :-2] + pixels[..., 1:-1] + pixels[..., 2:]
    nines = threes[..., :-2, :] + threes[..., 1:-1, :] + threes[..., 2:, :]
    blurred = (nines + inner * 4) / 13
    if not images.is_floating_point():
        blurred = blurred.round()
    sharpened = images.clone()
    moved = _fused(inner, blurred - inner, _per_image(share, 1))
    sharpened[..., 1:-1, 1:-1] = _as_pixels(moved, images.dtype)
    return sharpened


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colours of every image around the colour wheel; grey stays grey.

    Args:
        images: ``(B, C, H, W)`` uint8, or floating point in 0..1.
        shift: ``(B,)`` float32 on the images' device, in turns.

    Returns:
        As torchvision's ``adjust_hue``; a uint8 pixel may be off by one level.

    Example:
        >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> hue(red, torch.tensor([1 / 3])).flatten().tolist()
        [0, 255, 0]
    """
    if images.shape[1] == 1:
        return images
    full = 1.0 if images.is_floating_point() else 255.0
    pixels = images.float() / full
    low, high = pixels.amin(dim=1), pixels.amax(dim=1)
    red, green, blue = pixels.unbind(dim=1)
    spread = high - low
    turn = torch.where(
        high == red,
        (green - blue).div(spread).remainder(6),
        torch.where(high == green, 2 + (blue - red) / spread, 4 + (red - green) / spread),
    )
    turn = torch.where(spread == 0, 0, turn) + 6 * shift.view(-1, 1, 1)
    channels = []
    for offset in (5, 3, 1):  # red, green, blue: how far each is from its full value on a wheel of six
        away = (turn + offset).remainder(6)
        channels.append(high - spread * torch.minimum(away, 4 - away).clamp(0, 1))
    turned = torch.stack(channels, dim=1)
    return turned.to(images.dtype) if images.is_floating_point() else (turned * (full + 1 - 1e-3)).to(images.dtype)


def _gray(images: Tensor) -> Tensor:
    """Return the ``(B, 1, H, W)`` float32 grey images, whole numbers for uint8."""
    red, green, blue = (images[:, channel : channel + 1] for channel in range(3))
    gray = _fused(_fused(red.float() * _RED, green, _GREEN), blue, _BLUE)
    return gray if images.is_floating_point() else gray.floor()


def _blend(images: Tensor, other: Tensor, share: Tensor) -> Tensor:
    mixed = _fused(images.float() * _per_image(share, 0), other, _per_image(share, 1))
    return _as_pixels(mixed, images.dtype)


def _per_image(share: Tensor, column: int) -> Tensor:
    return share[:, column].view(-1, 1, 1, 1)


def _fused(a: Tensor, x: Tensor, y: Tensor | float) -> Tensor:
    """Return a + x * y in float32, rounded once as the fused instruction of the CPU's kernels does."""
    if a.device.type == "mps":  # which has no float64: a pixel may be off by one level there
        return a + x * y
    y = y.double() if isinstance(y, Tensor) else y
    return (a.double() + x.double() * y).float()


def _as_pixels(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    return pixels.clamp_(0, 1 if dtype.is_floating_point else 255).to(dtype)
