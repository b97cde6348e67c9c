"""`training_images`: chosen training samples as pictures to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from noisylearn._rng import rng_state, set_rng_state
from noisylearn.callbacks.index_recorder import innermost
from noisylearn.callbacks.step_reader import StepReader, describe
from noisylearn.callbacks.sweep_reader import INPUT_KEYS

MAX_SIDE = 128
"""Larger pictures are reduced to this many pixels a side."""


def training_images(loader: Any, rows: Sequence[int], by_position: bool = True) -> Tensor:
    """Return the images of some training samples, as the training set gives them: augmented, where it augments.

    Training cannot tell that they were read: random numbers go on where they were.

    Args:
        loader: The training loader: a `noisylearn.data.TensorLoader`, or a ``DataLoader`` of a map-style dataset.
        rows: ``k`` row numbers.
        by_position: Whether rows are positions in the loader's dataset; else batches carry them, which must be
            positions in the innermost of a chain of ``Subset``s.

    Returns:
        ``(k, 3, H, W)`` uint8 on the CPU, at most 128 pixels a side.

    Raises:
        ValueError: There are no images that can be read by row; the message says what was found.

    Example:
        >>> data = [(torch.rand(1, 4, 4), 0), (torch.rand(1, 4, 4), 1)]
        >>> training_images(DataLoader(data), rows=[1]).shape
        torch.Size([1, 3, 4, 4])
    """
    held = getattr(loader, "images", None)
    if isinstance(held, Tensor):
        return as_pictures(held[torch.tensor(rows, device=held.device)])
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        raise ValueError(f"a {type(loader).__name__} gives no sample by its row")
    reader = DataLoader(
        loader.dataset if by_position else innermost(loader.dataset),
        batch_size=len(rows),
        sampler=rows,
        num_workers=min(loader.num_workers, 1),
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )
    random_numbers = rng_state()
    try:
        (batch,) = reader
    finally:
        set_rng_state(random_numbers)
    carried = None if by_position else StepReader().carried_index(batch)
    if not by_position and (carried is None or carried.tolist() != list(rows)):
        raise ValueError("the row numbers that batches carry are not positions in the dataset")
    if isinstance(batch, Mapping):
        return as_pictures(next((batch[key] for key in INPUT_KEYS if key in batch), batch))
    return as_pictures(batch[0])


def as_pictures(images: Any) -> Tensor:
    """Return images as they can be looked at: RGB, eight bits, small.

    Args:
        images: ``(k, C, H, W)``, C is 1 or 3; floating-point ones that leave 0..1 are stretched to it, each by itself.

    Returns:
        ``(k, 3, H, W)`` uint8 on the CPU, at most 128 pixels a side.

    Raises:
        ValueError: They are no such images.

    Example:
        >>> as_pictures(torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3))[0, 0].tolist()
        [[0, 128, 255]]
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"the inputs are {describe(images)}, not images of 1 or 3 channels, (B, C, H, W)")
    pictures = images.detach().cpu().float()
    if images.dtype == torch.uint8:
        pictures = pictures / 255
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    leaves = (low < 0) | (high > 1)
    pictures = torch.where(leaves, (pictures - low) / (high - low).clamp(min=1e-12), pictures)
    shrink = MAX_SIDE / max(pictures.shape[2:])
    if shrink < 1:
        size = [max(1, round(side * shrink)) for side in pictures.shape[2:]]
        pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
