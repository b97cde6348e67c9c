"""A small data set whose images say which sample they are."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from noisylearn.data import Arrays, Augment, NoisyDataModule, StrongAugment


class Toy(NoisyDataModule):
    """60 + 24 images of 6x6 whose pixels are the row number; three classes. Counts its reads."""

    name = "toy"
    num_classes = 3
    in_channels = 1
    image_size = 6
    mean = (0.5,)
    std = (0.25,)
    class_names = ("a", "b", "c")
    augmentation: ClassVar[Augment] = Augment(1)
    strong_augmentation: ClassVar[StrongAugment] = StrongAugment(1, cutout=2)
    reads = 0

    def load(self) -> Arrays:
        self.reads += 1

        def images(count: int) -> torch.Tensor:
            return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 6, 6)

        return Arrays(images(60), torch.arange(60) % 3, images(24), torch.arange(24) % 3)


@pytest.fixture
def toy() -> type[Toy]:
    return Toy
