"""The strong augmentation of the papers: a policy on top of crop and flip, and a hole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noisylearn._checks import check_choice
from noisylearn.data.augment import Augment, Augmentation
from noisylearn.data.auto_augment import AutoAugment
from noisylearn.data.color_jitter import ColorJitter
from noisylearn.data.cutout import Cutout
from noisylearn.data.rand_augment import RandAugment


@dataclass(frozen=True)
class StrongAugment:
    """A policy of random operations beside crop and flip, then a hole: the view that consistency losses are about.

    ``"autoaugment"`` comes before crop and flip, as in its authors' code and SOP's; ``"randaugment"`` after them, as
    in FixMatch's and torchvision's. The draws are those of the steps side by side, and every step can be used alone.

    Args:
        crop_padding: As of `Augment`.
        flip: As of `Augment`.
        policy: ``"autoaugment"`` (CIFAR-10's), ``"randaugment"``, or None.
        num_ops: As of `RandAugment`; AutoAugment's operations are always two.
        magnitude: As of `RandAugment`; AutoAugment's strengths are part of its policy.
        cutout: Side of the hole in pixels, 0 for none.
        fill: Colour of the hole, per channel or one for all. The papers cut it after normalisation, where zero is the
            mean colour.
        jitter: A `ColorJitter` before the hole.

    Raises:
        TypeError: A size is not an integer.
        ValueError: ``policy`` is unknown, or a size is out of range.

    Example:
        >>> augment = StrongAugment(policy="randaugment", num_ops=1, magnitude=3, cutout=16)
        >>> [type(step).__name__ for step in augment.steps]
        ['Augment', 'RandAugment', 'Cutout']
        >>> draws = augment.draw(6, torch.Generator().manual_seed(0))
        >>> augment(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), draws).shape
        torch.Size([6, 3, 32, 32])
    """

    crop_padding: int = 4
    flip: bool = True
    policy: str | None = "autoaugment"
    num_ops: int = 2
    magnitude: int = 9
    cutout: int = 16
    fill: tuple[int, ...] = (0,)
    jitter: ColorJitter | None = None

    def __post_init__(self) -> None:
        """Check the arguments, the steps' own included."""
        if self.policy is not None:
            check_choice("policy", self.policy, ["autoaugment", "randaugment"])
        _ = self.steps

    @property
    def steps(self) -> Sequence[Augmentation]:
        """What is done, in order."""
        steps: list[Augmentation | None] = [
            AutoAugment() if self.policy == "autoaugment" else None,
            Augment(self.crop_padding, self.flip),
            RandAugment(self.num_ops, self.magnitude) if self.policy == "randaugment" else None,
            self.jitter,
            Cutout(self.cutout, self.fill) if self.cutout != 0 else None,
        ]
        return [step for step in steps if step is not None]

    @property
    def width(self) -> int:
        """How many numbers a draw takes."""
        return sum(step.width for step in self.steps)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``(count, width)`` int64, the steps' draws side by side."""
        return torch.cat([step.draw(count, generator) for step in self.steps], dim=1)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment ``(B, 1 or 3, H, W)`` uint8 images by ``(B, width)`` draws; without a policy, any dtype."""
        for step, part in zip(self.steps, torch.split(draws, [step.width for step in self.steps], dim=1), strict=True):
            images = step(images, part)
        return images
