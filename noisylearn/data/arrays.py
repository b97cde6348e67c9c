"""What a data set gives to the DataModule: images and labels in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Arrays:
    """Images and labels of one data set.

    Attributes:
        train_images: ``(N, C, H, W)`` uint8.
        train_targets: ``(N,)`` int64, the clean labels; -1 where unknown, which needs ``noisy_targets``.
        test_images: ``(M, C, H, W)`` uint8.
        test_targets: ``(M,)`` int64, clean.
        noisy_targets: ``(N,)`` int64, labels that come with the data, e.g. from people; None to draw them.

    Raises:
        TypeError: Images are not uint8 or labels are not int64.
        ValueError: Shapes do not fit together.

    Example:
        >>> images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        >>> arrays = Arrays(images, torch.tensor([0, 1, 0, 1]), images[:2], torch.tensor([0, 1]))
        >>> len(arrays.first(3).train_targets)
        3
    """

    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor
    noisy_targets: Tensor | None = None

    def __post_init__(self) -> None:
        """Check dtypes and shapes."""
        for name in ("train_images", "test_images"):
            images: Tensor = getattr(self, name)
            if images.dtype != torch.uint8:
                raise TypeError(f"`{name}` must be uint8, got {images.dtype}: scale to 0..255 and cast")
            if images.ndim != 4 or len(images) == 0:
                raise ValueError(f"`{name}` must be (N, C, H, W) with N at least 1, got shape {tuple(images.shape)}")
        for name, count in (
            ("train_targets", len(self.train_images)),
            ("noisy_targets", len(self.train_images)),
            ("test_targets", len(self.test_images)),
        ):
            targets: Tensor | None = getattr(self, name)
            if targets is None:
                continue
            if targets.dtype != torch.int64:
                raise TypeError(f"`{name}` must be int64 class ids, got {targets.dtype}: cast with .long()")
            if targets.shape != (count,):
                raise ValueError(f"`{name}` must have shape ({count},), got {tuple(targets.shape)}")

    def first(self, count: int | None) -> Arrays:
        """Return the same with only the first ``count`` training samples; None keeps all.

        Raises:
            ValueError: There are fewer than ``count``.
        """
        if count is None:
            return self
        if count > len(self.train_images):
            raise ValueError(
                f"`num_train` must be at most {len(self.train_images)}, got {count}: the data set has no more samples"
            )
        return replace(
            self,
            train_images=self.train_images[:count],
            train_targets=self.train_targets[:count],
            noisy_targets=None if self.noisy_targets is None else self.noisy_targets[:count],
        )
