"""What a training step receives: an input, the label it was given, and where the sample stands in the training set."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of samples, or one sample before collation.

    It is a tuple, so it unpacks, collates, pins and moves as one. The clean label is never in it: a method
    that could read the clean label could peek at the answer.

    Attributes:
        input: ``(B, ...)`` tensor, or a tuple of such views, or a dict of such tensors.
        target: ``(B,)`` int64, the label *given* to each sample, right or wrong.
        index: ``(B,)`` int64, the sample's position in the full training set.

    Example:
        >>> import torch
        >>> batch = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([1, 0]), torch.tensor([40, 7]))
        >>> x, y, index = batch
        >>> index.tolist()
        [40, 7]
    """

    input: Any
    target: Tensor | int
    index: Tensor | int  # type: ignore[assignment]  # the name is the design's; it hides tuple.index, which no batch needs
