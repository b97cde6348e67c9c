"""Small images of chosen samples, as PNG inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_SIDE = 96
"""Larger images are reduced to this many pixels a side: the page shows them no larger."""


@dataclass(frozen=True)
class Gallery:
    """Images of some training samples.

    Attributes:
        images: ``(k, H, W, C)`` uint8, C is 1 (grey) or 3 (RGB).
        indices: ``(k,)`` integers, the sample's position in the training set.

    Raises:
        ValueError: The shapes or the dtype are not these.

    Example:
        >>> Gallery(np.zeros((2, 8, 8, 1), np.uint8), np.array([5, 9])).indices.tolist()
        [5, 9]
    """

    images: npt.NDArray[np.uint8]
    indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check shapes and dtype once, so that the page need not."""
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[-1] not in (1, 3):
            raise ValueError(
                f"`images` must be uint8 of shape (k, H, W, 1 or 3), got {self.images.dtype} of {shape}: "
                "see `gallery_from_data` for images of shape (N, C, H, W)"
            )
        if self.indices.shape != shape[:1]:
            raise ValueError(f"`indices` must have one entry per image, got {self.indices.shape} for {shape[0]} images")

    def data_uris(self) -> dict[int, str]:
        """Return each sample's image as a ``data:image/png;base64,`` address, keyed by its index."""
        pairs = zip(self.indices, self.images, strict=True)
        return {int(i): "data:image/png;base64," + base64.b64encode(_png(x)).decode("ascii") for i, x in pairs}


def gallery_from_data(images: Any, indices: npt.ArrayLike) -> Gallery:
    """Cut the gallery of some samples out of a data set's images.

    Args:
        images: ``(N, C, H, W)`` uint8, an array or a CPU tensor; C is 1 or 3.
        indices: ``(k,)`` positions in ``images``.

    Raises:
        ValueError: The images are not 4-D uint8 with 1 or 3 channels.
        IndexError: An index is outside the images.

    Example:
        >>> gallery_from_data(np.zeros((10, 3, 32, 32), np.uint8), [4, 2]).images.shape
        (2, 32, 32, 3)
    """
    if len(images.shape) != 4:
        raise ValueError(f"`images` must have the shape (N, C, H, W), got {tuple(images.shape)}")
    chosen = np.asarray(indices, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= len(images)):
        raise IndexError(f"`indices` must be in [0, {len(images)}), got {chosen.min()} to {chosen.max()}")
    picked = np.asarray(images[chosen])  # indexed before the copy: the data set may be large
    return Gallery(np.ascontiguousarray(picked.transpose(0, 2, 3, 1)), chosen)


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
