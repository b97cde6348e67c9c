"""Fashion-MNIST, through torchvision."""

from __future__ import annotations

from typing import ClassVar

from torchvision import datasets

from noisylearn.data.arrays import Arrays
from noisylearn.data.module import NoisyDataModule
from noisylearn.data.root import missing_data
from noisylearn.data.strong_augment import StrongAugment


class FashionMNIST(NoisyDataModule):
    """60,000 + 10,000 grey pictures of clothing, 28x28, ten classes.

    Arguments as for `NoisyDataModule`.

    The files lie in ``ROOT/FashionMNIST/raw``; `prepare_data` downloads them.

    Example:
        >>> data = FashionMNIST(noise="pair_flip", noise_rate=0.45)
        >>> data.num_samples, data.class_names[9]
        (60000, 'Ankle boot')
    """

    name = "fashion_mnist"
    num_classes = 10
    in_channels = 1
    image_size = 28
    mean = (0.2860,)  # of the 60,000 training images
    std = (0.3530,)
    strong_augmentation: ClassVar[StrongAugment] = StrongAugment(
        policy="randaugment", cutout=14, fill=tuple(round(255 * part) for part in mean)
    )
    class_names = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    paper = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747"
    licence = "MIT"
    train_size = 60_000

    def prepare_data(self) -> None:
        """Download what is missing, with torchvision's checksums.

        Raises:
            MissingDataError: The files are not there and cannot be downloaded.
        """
        try:
            datasets.FashionMNIST(self.root, download=True)
        except (OSError, RuntimeError) as error:
            raise self._missing(f"the download failed ({error})") from error

    def load(self) -> Arrays:
        """Read both parts."""
        try:
            train, test = (datasets.FashionMNIST(self.root, train=part) for part in (True, False))
        except (OSError, RuntimeError, ValueError) as error:
            raise self._missing(f"absent or unreadable ({error})") from error
        return Arrays(train.data.unsqueeze(1), train.targets.long(), test.data.unsqueeze(1), test.targets.long())

    def _missing(self, found: str) -> Exception:
        stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        return missing_data(
            "Fashion-MNIST",
            self.root / "FashionMNIST" / "raw",
            [f"{stem}-ubyte" for stem in stems],
            "call `prepare_data()` with a network connection (30 MB), "
            "or unpack the four files of https://github.com/zalandoresearch/fashion-mnist there",
            found,
        )
