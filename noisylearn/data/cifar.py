"""CIFAR-10 and CIFAR-100, through torchvision."""

from __future__ import annotations

from typing import ClassVar

import torch
from torchvision import datasets

from noisylearn.data.arrays import Arrays
from noisylearn.data.cifar_names import CIFAR10_NAMES, CIFAR100_NAMES
from noisylearn.data.module import NoisyDataModule
from noisylearn.data.root import missing_data
from noisylearn.data.strong_augment import StrongAugment


class CIFAR10(NoisyDataModule):
    """50,000 + 10,000 colour images, 32x32, ten classes.

    Arguments as for `NoisyDataModule`.

    The files lie in ``ROOT/cifar-10-batches-py``; `prepare_data` downloads them. Mean and standard deviation
    are those of the noisy-label papers: the deviation is the mean of the per-image ones, smaller than that of
    all pixels.

    Example:
        >>> data = CIFAR10(noise="asymmetric_cifar10", noise_rate=0.4)
        >>> data.num_samples, data.class_names[3]
        (50000, 'cat')
    """

    name = "cifar10"
    num_classes = 10
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2023, 0.1994, 0.2010)
    strong_augmentation: ClassVar[StrongAugment] = StrongAugment(fill=tuple(round(255 * part) for part in mean))
    class_names = CIFAR10_NAMES
    paper = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    licence = "none stated by the distributor"
    train_size = 50_000
    _source: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10

    def prepare_data(self) -> None:
        """Download what is missing, with torchvision's checksums.

        Raises:
            MissingDataError: The files are not there and cannot be downloaded.
        """
        try:
            self._source(self.root, download=True)
        except (OSError, RuntimeError) as error:
            raise self._missing(f"the download failed ({error})") from error

    def load(self) -> Arrays:
        """Read both parts, with torchvision's checksums."""
        try:
            train, test = (self._source(self.root, train=part) for part in (True, False))
        except (OSError, RuntimeError) as error:
            raise self._missing("absent, or not what their checksums say") from error
        return Arrays(*_tensors(train), *_tensors(test))

    def _missing(self, found: str) -> Exception:
        source = self._source
        files = [name for name, _ in (*source.train_list, *source.test_list)] + [source.meta["filename"]]
        how = f"call `prepare_data()` with a network connection (170 MB), or unpack {source.url} there"
        return missing_data(source.__name__, self.root / source.base_folder, files, how, found)


class CIFAR100(CIFAR10):
    """50,000 + 10,000 colour images, 32x32, one hundred classes.

    Arguments as for `NoisyDataModule`.

    The files lie in ``ROOT/cifar-100-python``; `prepare_data` downloads them.

    Example:
        >>> CIFAR100(noise="asym_block5", noise_rate=0.4).num_classes
        100
    """

    name = "cifar100"
    num_classes = 100
    mean = (0.5071, 0.4867, 0.4408)
    std = (0.2675, 0.2565, 0.2761)
    strong_augmentation: ClassVar[StrongAugment] = StrongAugment(fill=tuple(round(255 * part) for part in mean))
    class_names = CIFAR100_NAMES
    _source = datasets.CIFAR100


def _tensors(part: datasets.CIFAR10) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images ``(N, 3, 32, 32)`` uint8 and labels ``(N,)`` int64."""
    return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
