"""The CPU path: a stock ``DataLoader`` with torchvision transforms that mean the same as the device path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate
from torchvision.transforms import v2

from noisylearn.data.augment import Augment, Augmentation
from noisylearn.data.auto_augment import AutoAugment
from noisylearn.data.batch import Batch
from noisylearn.data.color_jitter import ColorJitter
from noisylearn.data.indexed import IndexedDataset
from noisylearn.data.rand_augment import RandAugment
from noisylearn.data.strong_augment import StrongAugment


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Images and labels in memory as a map-style dataset.

    Args:
        images: ``(N, C, H, W)`` uint8.
        targets: ``(N,)`` int64.
        transform: From one ``(C, H, W)`` uint8 image to the network's input.

    Example:
        >>> dataset = ImageDataset(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([1, 0]), image_transform(4))
        >>> dataset[0][0].dtype, dataset[0][1]
        (torch.float32, 1)
    """

    def __init__(self, images: Tensor, targets: Tensor, transform: Callable[[Tensor], Any]) -> None:
        self.images, self.targets, self.transform = images, targets, transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return the transformed image and its label."""
        return self.transform(self.images[index]), int(self.targets[index])


def image_transform(
    image_size: int,
    augment: Augmentation | Sequence[Augmentation | None] | None = None,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Callable[[Tensor], Any]:
    """Return torchvision transforms equal in meaning to what the device path does.

    Args:
        image_size: Side of the square images, in pixels.
        augment: What is done to the images; None for nothing. A sequence makes a tuple of views.
        normalize: Per-channel (mean, std) on the scale 0..1; None leaves 0..1.

    Example:
        >>> image_transform(8, Augment(2), ([0.5], [0.25]))(torch.zeros(1, 8, 8, dtype=torch.uint8)).mean().item()
        -2.0
    """
    if isinstance(augment, Sequence):
        return Views([image_transform(image_size, view, normalize) for view in augment])
    steps = [] if augment is None else _torchvision(augment, image_size)
    steps.append(v2.ToDtype(torch.float32, scale=True))
    if normalize is not None:
        steps.append(v2.Normalize(mean=list(normalize[0]), std=list(normalize[1])))
    transform: Callable[[Tensor], Any] = v2.Compose(steps)
    return transform


def _torchvision(augment: Augmentation, image_size: int) -> list[torch.nn.Module]:
    """Return what ``augment`` means in transforms of a single image."""
    if isinstance(augment, StrongAugment):
        return [transform for step in augment.steps for transform in _torchvision(step, image_size)]
    if isinstance(augment, Augment):
        crop = [v2.RandomCrop(image_size, padding=augment.crop_padding)] if augment.crop_padding else []
        return [*crop, v2.RandomHorizontalFlip()] if augment.flip else crop
    if isinstance(augment, AutoAugment):
        return [v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)]
    if isinstance(augment, RandAugment):
        return [v2.RandAugment(augment.num_ops, augment.magnitude)]
    if isinstance(augment, ColorJitter):
        jitter = v2.ColorJitter(augment.brightness, augment.contrast, augment.saturation, augment.hue)
        return [v2.RandomApply([jitter], p=augment.probability)]
    return [OneByOne(augment)]


class OneByOne(torch.nn.Module):
    """An augmentation that torchvision does not have, for one image, by draws from PyTorch's global generator.

    Args:
        augment: What is done.

    Example:
        >>> from noisylearn.data import Cutout
        >>> OneByOne(Cutout(size=9, fill=(3,)))(torch.zeros(1, 1, 2)).tolist()
        [[[3.0, 3.0]]]
    """

    def __init__(self, augment: Augmentation) -> None:
        super().__init__()
        self.augment = augment

    def forward(self, image: Tensor) -> Tensor:
        """Augment one ``(C, H, W)`` image."""
        return self.augment(image[None], self.augment.draw(1, torch.default_generator))[0]


class Views:
    """Several transforms of one image, as a tuple; a class, so that worker processes can be sent it.

    Args:
        transforms: One per view.

    Example:
        >>> Views([image_transform(2), torch.neg])(torch.full((1, 1, 1), 51, dtype=torch.uint8))
        (tensor([[[0.2000]]]), tensor([[[205]]], dtype=torch.uint8))
    """

    def __init__(self, transforms: Sequence[Callable[[Tensor], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Tensor) -> tuple[Any, ...]:
        """Return every transform of the image."""
        return tuple(transform(image) for transform in self.transforms)


def _collate(samples: list[Batch]) -> Batch:
    """Collate as PyTorch does, which makes a list of a tuple of views, and make it a tuple again."""
    batch: Batch = default_collate(samples)
    return batch._replace(input=tuple(batch.input)) if isinstance(batch.input, list) else batch


def image_loader(
    images: Tensor,
    targets: Tensor,
    transform: Callable[[Tensor], Any],
    *,
    batch_size: int,
    shuffle: bool,
    rows: Tensor | None = None,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Return a stock ``DataLoader`` of `Batch`; Lightning adds the distributed sampler to it.

    Its order comes from PyTorch's global generator, and it keeps no position: a run that must resume exactly in
    mid-epoch needs the `TensorLoader`.

    Args:
        images: ``(N, C, H, W)`` uint8.
        targets: ``(N,)`` int64, the labels given.
        transform: From one image to the network's input, or to a tuple of views.
        batch_size: Samples per batch and process.
        shuffle: Whether to draw the order anew every epoch.
        rows: ``(M,)`` rows to serve; None serves all. ``Batch.index`` is the row either way.
        num_workers: Worker processes.
        pin_memory: Whether batches are put into page-locked memory for a GPU.

    Example:
        >>> images, targets = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([1, 0, 1])
        >>> loader = image_loader(images, targets, image_transform(4), batch_size=2, shuffle=False)
        >>> [batch.index.tolist() for batch in loader]
        [[0, 1], [2]]
    """
    dataset: Dataset[Batch] = IndexedDataset(ImageDataset(images, targets, transform))
    if rows is not None and len(rows) < len(images):
        dataset = Subset(dataset, rows.tolist())
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        collate_fn=_collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
    )
