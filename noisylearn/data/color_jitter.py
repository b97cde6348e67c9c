"""Colour jitter, per sample, on the device the images are on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_probability
from noisylearn.data.augment import between, draw_fractions, part_of
from noisylearn.data.color import brightness, contrast, hue, saturation, shares
from noisylearn.data.grouped import Operate, operate

_ORDERS = torch.tensor(list(itertools.permutations(range(4))))  # of the four changes


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue of every image by a random amount each, in a random order.

    In distribution ``torchvision.transforms.v2.ColorJitter``, within ``RandomApply`` if ``probability`` is below 1.

    Args:
        brightness: The factor is uniform in ``[max(0, 1 - brightness), 1 + brightness]``; 0 changes nothing.
        contrast: The same for the contrast.
        saturation: The same for the saturation.
        hue: The shift is uniform in ``[-hue, hue]`` turns of the colour wheel; at most 0.5.
        probability: Share of the images that is changed at all.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> jitter = ColorJitter(0.4, 0.4, 0.4, 0.1, probability=0.8)
        >>> draws = jitter.draw(6, torch.Generator().manual_seed(0))
        >>> jitter(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).shape
        torch.Size([6, 3, 32, 32])
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    probability: float = 1.0
    width: ClassVar[int] = 6

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("brightness", "contrast", "saturation", "hue"):
            check_non_negative(name, getattr(self, name), "pass e.g. 0.4, or 0 to leave it alone")
        if self.hue > 0.5:
            raise ValueError(f"`hue` must be in [0, 0.5], got {self.hue}: half a turn is all there is")
        check_probability("probability", self.probability, "pass a share of the images, e.g. 0.8")

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``(count, 6)`` int64: the four amounts, the order and whether at all, each as a fraction."""
        return draw_fractions((count, self.width), generator)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, 1 or 3, H, W)`` images, uint8 or floating point in 0..1, by ``(B, 6)`` draws."""
        *amounts, turn, order, whether = draws.unbind(dim=1)
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = [between(max(0.0, 1 - s), 1 + s, amount) for s, amount in zip(strengths, amounts, strict=True)]
        share = shares(torch.stack(factors)).to(images.device, non_blocking=True)  # (3, B, 2)
        shift = between(-self.hue, self.hue, turn).float().to(images.device, non_blocking=True)
        operations: list[Operate | None] = [
            lambda part, where, _: brightness(part, share[0, where]),
            lambda part, where, _: contrast(part, share[1, where]),
            lambda part, where, _: saturation(part, share[2, where]),
            lambda part, where, _: hue(part, shift[where]),
            None,
        ]
        asked = torch.tensor([*strengths, self.hue]) > 0
        chosen = _ORDERS[part_of(len(_ORDERS), order)]
        done = asked[chosen] & (between(0, 1, whether) < self.probability)[:, None]
        return operate(images, chosen.where(done, len(operations) - 1), operations)
