"""What a training step is checked for, with messages that say what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def check_batch(batch: Any) -> None:
    """Refuse a batch that is not ``(input, target, index)`` with integer labels and row numbers; reads no value.

    Raises:
        TypeError: It has other parts, or labels or row numbers are not integers.

    Example:
        >>> check_batch(("image", "label"))
        Traceback (most recent call last):
        TypeError: `batch` must be (input, target, index), got a tuple of 2: wrap the training set in noisylearn...
    """
    way_out = "wrap the training set in noisylearn.data.IndexedDataset"
    if not isinstance(batch, tuple | list) or len(batch) != 3:
        found = f"a {type(batch).__name__}" + (f" of {len(batch)}" if hasattr(batch, "__len__") else "")
        raise TypeError(f"`batch` must be (input, target, index), got {found}: {way_out}")
    for name, part, hint in zip(("target", "index"), batch[1:], ("cast the labels to int64", way_out), strict=True):
        dtype = getattr(part, "dtype", None)
        if dtype is None or dtype.is_floating_point or dtype.is_complex:
            found = dtype or type(part).__name__
            raise TypeError(f"`{name}` must be a tensor of integers, one per sample, got {found}: {hint}")


def check_views(x: Any, views: Sequence[str]) -> None:
    """Refuse an input that is not a tuple of as many tensors as a method of several views asks for.

    Raises:
        TypeError: It is something else.

    Example:
        >>> check_views("image", ("weak", "strong"))
        Traceback (most recent call last):
        TypeError: `views` are ('weak', 'strong'), so an input must be a tuple of 2, got a str: fit with a Noisy...
    """
    if len(views) > 1 and not (isinstance(x, tuple | list) and len(x) == len(views)):
        found = f"a tuple of {len(x)}" if isinstance(x, tuple | list) else f"a {type(x).__name__}"
        raise TypeError(
            f"`views` are {tuple(views)}, so an input must be a tuple of {len(views)}, got {found}: fit with a "
            "NoisyDataModule, or let the training set return that many transforms of a sample"
        )


def check_mixable(x: Any) -> None:
    """Refuse an input, or a view of it, that is no tensor of numbers: it cannot be mixed with another's.

    Raises:
        TypeError: It is something else.

    Example:
        >>> check_mixable({"input_ids": [3, 1]})
        Traceback (most recent call last):
        TypeError: `input` must be a floating point tensor to be mixed with others, got a dict: use a method that...
    """
    for view in x if isinstance(x, tuple | list) else (x,):
        if not isinstance(view, Tensor) or not view.is_floating_point():
            found = view.dtype if isinstance(view, Tensor) else f"a {type(view).__name__}"
            raise TypeError(
                f"`input` must be a floating point tensor to be mixed with others, got {found}: use a method that does "
                "not mix samples"
            )


def check_num_logits(logits: Tensor, num_classes: int) -> None:
    """Refuse logits of another number of classes.

    Raises:
        ValueError: The last dimension is not ``num_classes``.
    """
    if logits.shape[-1] != num_classes:
        raise ValueError(
            f"`num_classes` is {num_classes}, but the network gives {logits.shape[-1]} logits: make them agree"
        )


def check_target_range(target: Tensor, num_classes: int) -> None:
    """Refuse labels outside ``[0, num_classes)``; waits for the device.

    Raises:
        ValueError: A label is out of range.
    """
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"`target` must be in [0, {num_classes}), got {low if low < 0 else high}: "
            "check `num_classes` and the labels"
        )
