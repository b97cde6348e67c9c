"""Give each image of a batch its own operations, each operation all of its images at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Operate = Callable[[Tensor, Tensor, int], Tensor]
"""(images, which images of the batch these are, step) -> images."""


def operate(images: Tensor, chosen: Tensor, operations: Sequence[Operate | None]) -> Tensor:
    """Put every image through the operations chosen for it, one after the other.

    The choices are on the CPU, so that sizes are known without waiting for the device: a step brings the images of
    one operation together by one gather, and the batch is put back in order at the end. An operation that nobody
    chose costs nothing.

    Args:
        images: ``(B, ...)`` on any device.
        chosen: ``(B, steps)`` int64 on the CPU, positions in ``operations``.
        operations: Called with the images that chose it, their positions in the batch (int64, on the images'
            device) and the step; None leaves them alone.

    Returns:
        ``(B, ...)``, in the order of ``images``.

    Example:
        >>> add = lambda images, rows, step: images + 10**step
        >>> operate(torch.zeros(3), torch.tensor([[1, 1], [0, 1], [1, 0]]), [None, add]).tolist()
        [11.0, 10.0, 1.0]
    """
    rows = torch.arange(len(images))  # which image stands where
    for step, wanted in enumerate(chosen.unbind(dim=1)):
        order = wanted[rows].argsort(stable=True)
        rows = rows[order]
        sizes = wanted.bincount(minlength=len(operations)).tolist()
        order, places = torch.stack([order, rows]).to(images.device, non_blocking=True)
        parts = zip(
            operations, torch.split(images.index_select(0, order), sizes), torch.split(places, sizes), strict=True
        )
        images = torch.cat([p if f is None or not len(p) else f(p, where, step) for f, p, where in parts])
    return images.index_select(0, rows.argsort().to(images.device, non_blocking=True))
