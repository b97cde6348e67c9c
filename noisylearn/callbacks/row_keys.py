"""`RowKeys`: row numbers for samples that are known by a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class RowKeys:
    """Gives each name the next free row, in the order in which names are first met.

    For data that is a stream (WebDataset, an ``IterableDataset``): there are no positions, but each sample has a name.
    The look-up is a dictionary on the CPU; where samples have integer numbers, use those.

    Example:
        >>> keys = RowKeys()
        >>> keys.rows_of(["cat/1", "dog/7"]).tolist(), keys.rows_of(["dog/7", "cat/9"]).tolist(), len(keys)
        ([0, 1], [1, 2], 3)
    """

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """The names, in the order of their rows."""
        return list(self._rows)

    def rows_of(self, names: Sequence[str]) -> Tensor:
        """Return the rows of these names, ``(B,)`` int64 on the CPU; a new name gets a new row."""
        return torch.tensor([self._rows.setdefault(name, len(self._rows)) for name in names], dtype=torch.int64)

    def restore(self, names: Iterable[str]) -> None:
        """Go on from `names`."""
        self._rows = {name: row for row, name in enumerate(names)}
