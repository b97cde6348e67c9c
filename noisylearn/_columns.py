"""`Column` and the matrix that holds columns side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from noisylearn._checks import check_choice, check_positive_int

Merge: TypeAlias = Literal["sum", "last", "first", "ordered"]
Views: TypeAlias = dict[str, Tensor]

DTYPES = (torch.float32, torch.int16)


@dataclass(frozen=True, slots=True)
class Column:
    """One named column of a `SampleTable`.

    Args:
        name: The column's name.
        dtype: ``torch.float32``, or ``torch.int16`` for counts and class ids (saturates at 32,767; torch has no
            uint16 scatter on CPU). What an int16 column sums must not be negative.
        width: Values per sample; 1 gives ``(N,)`` views, more gives ``(N, width)``.
        merge: How what is observed becomes state. ``"sum"``: every presentation is added, repeats included.
            ``"last"`` / ``"first"``: the last or first presentation since the last commit replaces the value.
            ``"ordered"``: nothing is observed; the owner computes it at commit (see `SampleTable.commit`).
        initial: The value of a sample that was never seen.

    Example:
        >>> Column("margin_sum")
        Column(name='margin_sum', dtype=torch.float32, width=1, merge='sum', initial=0.0)
    """

    name: str
    dtype: torch.dtype = torch.float32
    width: int = 1
    merge: Merge = "sum"
    initial: float = 0.0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(
                f"`dtype` of column {self.name!r} must be float32 or int16, got {self.dtype}: "
                "measurements are float32, counts and class ids int16"
            )
        check_positive_int(f"width of column {self.name!r}", self.width)
        check_choice(f"merge of column {self.name!r}", self.merge, ("sum", "last", "first", "ordered"))


SEEN = Column("n_seen", torch.int16)
LAST_EPOCH = Column("last_epoch", torch.int16, merge="ordered", initial=-1)
INT16_MAX = 32767


class Matrix:
    """Columns of one dtype side by side, with one spare last row that swallows writes to be ignored."""

    def __init__(self, num_rows: int, columns: Iterable[Column], dtype: torch.dtype, device: torch.device) -> None:
        self.columns = [c for c in columns if c.dtype == dtype]
        self.slices: dict[str, slice] = {}
        start = 0
        for column in self.columns:
            self.slices[column.name] = slice(start, start + column.width)
            start += column.width
        self.data = torch.zeros(num_rows + 1, start, dtype=dtype, device=device)
        self.reset()

    def reset(self) -> None:
        self.data.zero_()
        for column in self.columns:
            if column.initial:
                self.data[:, self.slices[column.name]] = column.initial

    def views(self) -> Views:
        """Each column as a view: ``(N,)`` where its width is 1, else ``(N, width)``."""
        rows = self.data[:-1]
        return {c.name: squeeze(rows[:, self.slices[c.name]], c) for c in self.columns}

    def pack(self, values: Mapping[str, Tensor], rows: int) -> Tensor:
        """The values of one step, ``(rows, columns)``, laid out as this matrix is."""
        parts = [_as_block(values[c.name], c, rows) for c in self.columns]
        return torch.cat(parts, 1) if parts else self.data.new_zeros(rows, 0)

    def span(self, merge: Merge) -> slice:
        """The contiguous block of the columns with this merge (they are laid out in groups)."""
        spans = [self.slices[c.name] for c in self.columns if c.merge == merge]
        return slice(spans[0].start, spans[-1].stop) if spans else slice(0, 0)


def _as_block(value: Tensor, column: Column, rows: int) -> Tensor:
    shape = (rows,) if column.width == 1 else (rows, column.width)
    if value.shape != shape:
        raise ValueError(
            f"`values[{column.name!r}]` must have shape {shape}, one row per index, got {tuple(value.shape)}"
        )
    if column.dtype == torch.int16:
        if value.is_floating_point():
            raise TypeError(f"`values[{column.name!r}]` must be integers, got {value.dtype}: make the column float32")
        if value.dtype not in (torch.bool, torch.uint8, torch.int8, torch.int16):
            value = value.clamp(-INT16_MAX - 1, INT16_MAX)
    return value.detach().to(column.dtype).reshape(rows, column.width)


def signature(columns: Iterable[Column]) -> list[str]:
    """What must agree for one table's rows to be another's, as plain strings for a checkpoint."""
    return [f"{c.name} {str(c.dtype).removeprefix('torch.')}[{c.width}] {c.merge}" for c in columns]


def squeeze(block: Tensor, column: Column) -> Tensor:
    return block[:, 0] if column.width == 1 else block


def grouped(columns: Iterable[Column]) -> list[Column]:
    order = ("sum", "first", "last", "ordered")
    return sorted(columns, key=lambda c: order.index(c.merge))


def row_bytes(columns: Iterable[Column]) -> int:
    return sum(c.width * torch.empty((), dtype=c.dtype).element_size() for c in columns)


def fit(value: Tensor, column: Column) -> Tensor:
    """What was computed at commit, in the column's dtype; int16 saturates."""
    if column.dtype == torch.int16 and value.dtype != torch.int16:
        value = value.clamp(-INT16_MAX - 1, INT16_MAX)
    return value.to(column.dtype)


def rows_where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(rows if old.ndim == 1 else rows[:, None], new, old)


def run_ends(row: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of the first and of the last occurrence of each value in ``row``, without a device wait."""
    ordered, order = row.sort(stable=True)
    change = ordered[1:] != ordered[:-1]
    edge = change.new_ones(1)
    first, last = torch.empty_like(row, dtype=torch.bool), torch.empty_like(row, dtype=torch.bool)
    first[order] = torch.cat([edge, change])
    last[order] = torch.cat([change, edge])
    return first, last
