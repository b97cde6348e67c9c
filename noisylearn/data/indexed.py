"""Any map-style dataset, with the sample's position added and its labels replaced."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from noisylearn.data.batch import Batch


class IndexedDataset(Dataset[Batch]):
    """Wrap a map-style dataset so that its items are ``Batch(x, y, i)``.

    Args:
        dataset: Items are ``(x, y)``, or longer tuples whose first two parts are the input and the label.
        targets: ``(N,)`` integer class ids that replace the dataset's own labels, e.g. noisy ones. With
            them the wrapped label is read and dropped, never passed on.

    Attributes:
        dataset: The wrapped dataset.
        targets: ``(N,)`` int64 tensor, or None where the dataset's own labels are used.

    Raises:
        TypeError: The dataset has no length, or the targets are not integers.
        ValueError: The dataset is empty, or the number of targets is not its length.

    Example:
        >>> pairs = [("a", 0), ("b", 1)]
        >>> IndexedDataset(pairs)[1]
        Batch(input='b', target=1, index=1)
        >>> IndexedDataset(pairs, targets=[1, 1])[0]
        Batch(input='a', target=1, index=0)
    """

    def __init__(
        self,
        dataset: Dataset[Any] | Sequence[Any],
        targets: Sequence[int] | npt.NDArray[np.integer[Any]] | Tensor | None = None,
    ) -> None:
        if not isinstance(dataset, Sized):
            raise TypeError(
                f"`dataset` must have a length, got {type(dataset).__name__}: "
                "an iterable-style dataset has no sample positions to record"
            )
        if len(dataset) == 0:
            raise ValueError("`dataset` must hold at least one sample, got none: check the path or the filter")
        self.dataset = dataset
        self.targets: Tensor | None = None
        if targets is not None:
            given = torch.as_tensor(targets)
            if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
                raise TypeError(f"`targets` must be integer class ids, got dtype {given.dtype}: cast with .long()")
            if given.shape != (len(dataset),):
                raise ValueError(
                    f"`targets` must have shape ({len(dataset)},), one label per sample, got {tuple(given.shape)}"
                )
            self.targets = given.long()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Batch:
        """Return sample ``index`` as ``Batch(input, target, index)``, not yet collated."""
        index = range(len(self))[index]  # a negative position becomes the row it means
        item = self.dataset[index]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise TypeError(
                f"items of `dataset` must be tuples (input, label), got {type(item).__name__} at position {index}: "
                "return both from `__getitem__`"
            )
        return Batch(item[0], item[1] if self.targets is None else int(self.targets[index]), index)
