"""Handwritten digits, 8x8: the data set that comes with scikit-learn."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from noisylearn.data.arrays import Arrays
from noisylearn.data.augment import Augment
from noisylearn.data.module import NoisyDataModule
from noisylearn.data.strong_augment import StrongAugment


class Digits(NoisyDataModule):
    """1,797 handwritten digits of 8x8 grey pixels, embedded in scikit-learn: nothing is downloaded.

    The test part is a fixed stratified fifth (360 images), the same for every seed. Pixels are scaled from 0..16 to
    0..255. There is no augmentation unless asked for, and then a shift by one pixel: a mirrored digit is
    another sign. The strong view adds RandAugment and a hole of 2x2 pixels. Arguments as for `NoisyDataModule`.

    Example:
        >>> data = Digits(noise_rate=0.4)
        >>> data.setup()
        >>> tuple(data.train_images.shape), data.noise.generator
        ((1437, 1, 8, 8), 'symmetric')
    """

    name = "digits"
    num_classes = 10
    in_channels = 1
    image_size = 8
    mean = (0.3054,)  # of the 1,437 training images
    std = (0.3760,)
    class_names = tuple("0123456789")
    paper = "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI"
    licence = "CC BY 4.0 (UCI); BSD-3-Clause as part of scikit-learn"
    train_size = 1437
    augmentation: ClassVar[Augment] = Augment(crop_padding=1, flip=False)
    strong_augmentation: ClassVar[StrongAugment] = StrongAugment(
        crop_padding=1, flip=False, policy="randaugment", cutout=2, fill=tuple(round(255 * part) for part in mean)
    )
    augment_by_default = False

    def load(self) -> Arrays:
        """Return the 1,437 + 360 images."""
        from sklearn.datasets import load_digits  # imported here: it takes a second
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        images, targets = torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(digits.target.astype(np.int64))
        rows = np.arange(len(targets))
        train, test = train_test_split(rows, test_size=0.2, stratify=digits.target, random_state=0)
        return Arrays(images[train], targets[train], images[test], targets[test])
