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
        >>> keys.known(["cat/9", "owl/2"]).tolist(), len(keys)
        ([2, -1], 3)
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

    def known(self, names: Sequence[str]) -> Tensor:
        """Return the rows of these names, ``(B,)`` int64 on the CPU; -1 for a name that was not met yet."""
        return torch.tensor([self._rows.get(name, -1) for name in names], dtype=torch.int64)

    def restore(self, names: Iterable[str]) -> None:
        """Go on from `names`."""
        self._rows = {name: row for row, name in enumerate(names)}


class KnownKeys(RowKeys):
    """The rows that others' `RowKeys` give, for who reads along: it numbers no sample itself.

    Args:
        keys: The keys that are read along.

    Example:
        >>> keys = RowKeys()
        >>> reader = KnownKeys(keys)
        >>> reader.rows_of(["cat/1"]).tolist(), keys.rows_of(["cat/1"]).tolist(), reader.rows_of(["cat/1"]).tolist()
        ([-1], [0], [0])
    """

    def __init__(self, keys: RowKeys) -> None:
        super().__init__()
        self._keys = keys

    def rows_of(self, names: Sequence[str]) -> Tensor:
        """Return the rows of these names, ``(B,)`` int64 on the CPU; -1 for a name that was not met yet."""
        return self._keys.known(names)
