"""`DatasetView`: some rows of a dataset under other labels, each item in the form its dataset gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from noisylearn._checks import check_index
from noisylearn.callbacks.step_reader import TARGET_KEYS
from noisylearn.data import Batch

TargetKey: TypeAlias = str | int
MapStyle: TypeAlias = Dataset[Any] | Sequence[Any]


class DatasetView(Dataset[Any]):
    """Some rows of a map-style dataset, with labels of its own; the dataset itself stays as it is.

    Items keep their form: a tuple, a named tuple, a list, or a dict, with the label replaced in a copy. Where an item
    carries a row number (`noisylearn.data.Batch`, or a dict's ``"index"``), it becomes the position in ``dataset``.

    Args:
        dataset: The dataset; items are ``(input, label, ...)``, a `Batch`, or a dict with the label under a usual key.
        rows: ``(M,)`` int64 positions in it; by default all.
        targets: ``(M,)`` int64 labels of those rows; by default the items' own.
        key: Where an item has its label, if that is not found by itself.

    Raises:
        TypeError: ``dataset`` has no length.
        ValueError: It is empty, or there is not one target for each row.
        IndexError: A row is out of range.

    Example:
        >>> view = DatasetView([("a", 0), ("b", 1), ("c", 0)], rows=torch.tensor([2, 1]), targets=torch.tensor([5, 1]))
        >>> view[0], view[1]
        (('c', 5), ('b', 1))
    """

    def __init__(
        self,
        dataset: MapStyle,
        rows: Tensor | None = None,
        targets: Tensor | None = None,
        key: TargetKey | None = None,
    ) -> None:
        size = check_dataset("dataset", dataset)
        self.dataset, self.key = dataset, key
        self.rows = torch.arange(size) if rows is None else torch.from_numpy(check_index("rows", rows, size))
        if targets is not None and targets.shape != self.rows.shape:
            raise ValueError(
                f"`targets` must have shape {tuple(self.rows.shape)}, one label per row, got {tuple(targets.shape)}"
            )
        self.targets = targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        row = int(self.rows[index])
        item = _with_row(self.dataset[row], row)
        if self.targets is None:
            return item
        return with_label(item, int(self.targets[index]), self.key)


def check_dataset(name: str, dataset: Any) -> int:
    """Return a map-style dataset's length.

    Args:
        name: The argument's name, for the message.
        dataset: What the caller passed.

    Raises:
        TypeError: It has no length.
        ValueError: It is empty.

    Example:
        >>> check_dataset("dataset", ["a", "b"])
        2
    """
    if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            f"`{name}` must be a map-style dataset, got {type(dataset).__name__}: several runs have to find the same "
            "sample at the same position"
        )
    if len(dataset) == 0:
        raise ValueError(f"`{name}` must hold at least one sample, got none: check the path or the filter")
    return len(dataset)


def label_key(item: Any, key: TargetKey | None = None) -> TargetKey:
    """Return where an item has its label.

    Args:
        item: One sample, not collated.
        key: Where it is, if the caller knows.

    Raises:
        ValueError: The item has no such part, or no usual one.

    Example:
        >>> label_key(("image", 3)), label_key({"image": 0, "label": 3})
        (1, 'label')
    """
    if isinstance(item, Mapping):
        found = next((k for k in TARGET_KEYS if k in item), None) if key is None else key if key in item else None
        what = f"a dict with the keys {', '.join(map(repr, item))}"
    else:
        size = len(item) if isinstance(item, tuple | list) else 0
        place = 1 if key is None else key
        found = place if isinstance(place, int) and -size <= place < size else None
        what = f"a {type(item).__name__} of {size} parts" if size else f"a {type(item).__name__}"
    if found is None:
        asked = "no label" if key is None else f"no {key!r}"
        raise ValueError(f"`target`: {asked} in an item of `dataset`, which is {what}: pass `target=` its key")
    return found


def with_label(item: Any, label: int, key: TargetKey | None = None) -> Any:
    """Return a copy of an item with another label, of the type that the old one had.

    Args:
        item: One sample, not collated.
        label: The new label.
        key: Where the label is, if that is not found by itself.

    Raises:
        ValueError: The item has no label there.

    Example:
        >>> with_label({"image": 0, "label": torch.tensor(3)}, 7)
        {'image': 0, 'label': tensor(7)}
    """
    place = label_key(item, key)
    return _replaced(item, place, _like(item[place], label))


def read_labels(dataset: MapStyle, key: TargetKey | None = None) -> Any:
    """Return the labels of all items; it reads each item once, so labels that are at hand should be passed instead.

    Args:
        dataset: A map-style dataset.
        key: Where an item has its label, if that is not found by itself.

    Returns:
        ``(N,)`` array of whatever type the labels have.

    Raises:
        ValueError: An item has no label.

    Example:
        >>> read_labels([("a", 0), ("b", torch.tensor(1))]).tolist()
        [0, 1]
    """
    items = (dataset[i] for i in range(check_dataset("dataset", dataset)))
    return np.asarray([np.asarray(item[label_key(item, key)]) for item in items])


def _with_row(item: Any, row: int) -> Any:
    """Number an item that carries a number by its position."""
    if isinstance(item, Batch):
        return item._replace(index=row)
    if isinstance(item, Mapping) and "index" in item:
        return _replaced(item, "index", _like(item["index"], row))
    return item


def _replaced(item: Any, place: TargetKey, value: Any) -> Any:
    if isinstance(item, Mapping):
        return {**item, place: value}
    parts = list(item)
    parts[int(place)] = value
    if isinstance(item, tuple):
        return item._make(parts) if hasattr(item, "_make") else tuple(parts)
    return parts


def _like(old: Any, new: int) -> Any:
    """Return ``new`` as what ``old`` is, so that samples still collate."""
    if isinstance(old, Tensor):
        return torch.full_like(old, new)
    if isinstance(old, np.ndarray | np.generic):
        return np.asarray(new, old.dtype).reshape(old.shape)[()]
    return new
