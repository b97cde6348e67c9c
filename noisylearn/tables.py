"""`SampleTable`: one row of state per training sample, on the training device.

A table holds named columns in two row-major matrices (float32 and saturating int16), so that a training step costs
one gather and one scatter of each, whatever the number of columns. What a step sees is *staged*; `SampleTable.commit`
merges the staged rows of all ranks and applies them to the state.

A table is deliberately not a module buffer: DistributedDataParallel would broadcast rank 0's rows over the other
ranks' on every forward, weight averaging would average it, and inference checkpoints would carry it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from noisylearn._checks import check_index, check_positive_int
from noisylearn._columns import (
    DTYPES,
    INT16_MAX,
    LAST_EPOCH,
    SEEN,
    Column,
    Matrix,
    Merge,
    Views,
    fit,
    grouped,
    row_bytes,
    rows_where,
    run_ends,
    signature,
    squeeze,
)
from noisylearn._placement import Placement, merge_ranks, process

Advance: TypeAlias = Callable[[Views, Views], Mapping[str, Tensor]]


def available_bytes(device: torch.device) -> int | None:
    """Return the free memory of ``device`` in bytes, or None where it cannot be read.

    Example:
        >>> (available_bytes(torch.device("cpu")) or 1) > 0
        True
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu":
        try:
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        except OSError:  # not Linux
            return None
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None
    return None


class SampleTable:
    """One row per training sample: state that a step updates by index and every rank agrees on.

    Args:
        num_samples: Number of rows ``N``.
        columns: The state. A column that merges by ``"sum"``, ``"last"`` or ``"first"`` is observed under its own
            name. Two columns are always there: ``n_seen`` (presentations) and ``last_epoch`` (-1 before the first).
        observed: Columns that are staged only: seen by ``advance`` at commit, then dropped.
        device: Where the rows live; `to` moves them.
        sharded: On several processes, keep sample ``i`` on rank ``i mod R`` alone. The loader must hand samples out in
            that way (`noisylearn.data.TensorLoader` does); then nothing is exchanged at a commit. `views` has this
            rank's rows, `gather` all of them.

    Raises:
        ValueError: Two columns share a name, or a staged-only column merges by ``"ordered"``.
        MemoryError: The table cannot fit; the message has the number of bytes.

    Example:
        >>> table = SampleTable(4, [Column("loss_sum")])
        >>> table.observe(torch.tensor([2, 0]), {"loss_sum": torch.tensor([0.5, 1.5])})
        >>> table.commit(epoch=0)
        0
        >>> table.read(torch.tensor([0, 1, 2]))["loss_sum"].tolist()
        [1.5, 0.0, 0.5]
    """

    def __init__(
        self,
        num_samples: int,
        columns: Sequence[Column],
        *,
        observed: Sequence[Column] = (),
        device: torch.device | str = "cpu",
        sharded: bool = False,
    ) -> None:
        self.num_samples = check_positive_int(
            "num_samples", num_samples, "an empty training set has no row to track; check the data"
        )
        for column in observed:
            if column.merge == "ordered":
                raise ValueError(f"`observed` column {column.name!r} must merge by sum, first or last, got 'ordered'")
        self.columns = grouped([SEEN, LAST_EPOCH, *columns])
        self.staged_columns = grouped([*(c for c in self.columns if c.merge != "ordered"), *observed])
        for group in (self.columns, self.staged_columns):
            names = [c.name for c in group]
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"`columns` must have distinct names, got {twice[0]!r} twice: rename one")
        device = torch.device(device)
        self.placement = Placement(num_samples, sharded)
        self._refuse_if_too_large(device)
        rows = self.placement.num_rows
        self._state = {d: Matrix(rows, self.columns, d, device) for d in DTYPES}
        self._staged = {d: Matrix(rows, self.staged_columns, d, device) for d in DTYPES}
        self._left_out = torch.zeros((), dtype=torch.int64, device=device)
        self._misplaced = torch.zeros((), dtype=torch.int64, device=device)
        self._foreign = torch.zeros((), dtype=torch.int64, device=device)
        self.num_non_finite = 0
        self._over = False

    # -- size and place -----------------------------------------------------------------------------------------

    @property
    def bytes_per_sample(self) -> tuple[int, int]:
        """Bytes of state and of staging that one sample takes."""
        return row_bytes(self.columns), row_bytes(self.staged_columns)

    @property
    def nbytes(self) -> int:
        """Bytes that the table takes on this process, staging included."""
        return (self.placement.num_rows + 1) * sum(self.bytes_per_sample)

    def _refuse_if_too_large(self, device: torch.device) -> None:
        free = available_bytes(device)
        if free is not None and self.nbytes > free:
            state, staged = self.bytes_per_sample
            raise MemoryError(
                f"a table of {self.placement.num_rows:,} samples needs {self.nbytes / 1e9:,.1f} GB ({state} + {staged} "
                f"bytes a sample), but {device} has {free / 1e9:,.1f} GB free: track fewer columns, or another device"
            )

    @property
    def device(self) -> torch.device:
        """Where the rows live."""
        return self._left_out.device

    def to(self, device: torch.device | str) -> SampleTable:
        """Move the table to ``device``, in place, and return it.

        Raises:
            MemoryError: It cannot fit there; the message has the number of bytes.
        """
        device = torch.empty(0, device=device).device  # "cuda" becomes "cuda:0"
        if device == self.device:
            return self
        self._refuse_if_too_large(device)
        for matrix in (*self._state.values(), *self._staged.values()):
            matrix.data = matrix.data.to(device)
        self._left_out, self._misplaced = self._left_out.to(device), self._misplaced.to(device)
        self._foreign = self._foreign.to(device)
        return self

    def grow(self, num_samples: int) -> None:
        """Add rows at the end, for a training set whose size is not known before it has been read.

        Args:
            num_samples: The new number of rows, at least the present one.

        Raises:
            ValueError: There are more rows already, or the table is sharded.
            MemoryError: The new table cannot fit beside the old one; the message has the number of bytes.
        """
        if num_samples < self.num_samples:
            raise ValueError(f"`num_samples` must be at least {self.num_samples}, got {num_samples}: rows are kept")
        if self.placement.sharded:
            raise ValueError("`num_samples` of a sharded table cannot change: say how many samples there are")
        old, self.num_samples = self.num_samples, num_samples
        self.placement = Placement(num_samples, sharded=False)
        self._refuse_if_too_large(self.device)
        for group, columns in ((self._state, self.columns), (self._staged, self.staged_columns)):
            for dtype, matrix in group.items():
                larger = Matrix(num_samples, columns, dtype, self.device)
                larger.data[:old] = matrix.data[:old]
                group[dtype] = larger

    # -- reading and staging ------------------------------------------------------------------------------------

    def views(self) -> Views:
        """Return every committed column as a view of shape ``(N,)`` or ``(N, width)``; sharded, this rank's rows."""
        return self._state[torch.float32].views() | self._state[torch.int16].views()

    def gather(self) -> Views:
        """Return every committed column, ``(N,)`` or ``(N, width)``, of all ranks; a collective call where sharded."""
        return {name: self.placement.gather(column) for name, column in self.views().items()}

    def read(self, index: Tensor) -> Views:
        """Return the committed rows of ``index``.

        Args:
            index: ``(B,)`` int64 row numbers.

        Returns:
            One tensor per column, ``(B,)`` or ``(B, width)``: a copy, made by one gather per dtype. A row that another
            rank has (a sampler's padding) reads as one never seen.
        """
        index, _ = self.placement.rows_of(self._on_device(index))
        out: Views = {}
        for matrix in self._state.values():
            rows = matrix.data.index_select(0, index)
            out |= {c.name: squeeze(rows[:, matrix.slices[c.name]], c) for c in matrix.columns}
        return out

    def write(self, index: Tensor, values: Mapping[str, Tensor]) -> None:
        """Set committed values directly, e.g. sample weights from a callback that runs alike on every rank.

        Args:
            index: ``(B,)`` int64 row numbers, without repeats.
            values: Column name to ``(B,)`` or ``(B, width)``.

        Raises:
            KeyError: A column is unknown.
        """
        rows, own = self.placement.rows_of(self._on_device(index))
        views = self.views()
        for name, value in values.items():
            if name not in views:
                raise KeyError(f"`values` must be among the columns {sorted(views)}, got {name!r}")
            column = views[name]
            value = value.to(column.device, column.dtype)
            if self.placement.sharded:
                column[rows[own]] = value[own]
            else:
                column[rows] = value

    def observe(
        self,
        index: Tensor,
        values: Mapping[str, Tensor],
        finite: Tensor | None = None,
        labelled: Tensor | None = None,
    ) -> None:
        """Stage what one step saw. Nothing waits for the device.

        A sample with a non-finite value is left out whole and counted (`commit` reports it); repeats inside the batch
        and inside the epoch follow each column's merge.

        Args:
            index: ``(B,)`` int64 row numbers.
            values: One tensor ``(B,)`` or ``(B, width)`` for every staged column except ``n_seen``.
            finite: ``(B,)`` bool, False for samples that are not finite although their values are: a prediction, say,
                whose logits are NaN.
            labelled: ``(B,)`` bool, False for samples that are to be passed over without being counted.

        Raises:
            KeyError: A column is missing or unknown.
            TypeError: The indices, or the values of an int16 column, are not integers.
            ValueError: A value has another shape.
            IndexError: An index is out of range (on the CPU at once; on a GPU at the next commit).
        """
        self._check_names(values)
        index = self._on_device(index)
        if not len(index):
            return
        values = {"n_seen": torch.ones_like(index, dtype=torch.int16), **values}
        batch = {dtype: matrix.pack(values, len(index)) for dtype, matrix in self._staged.items()}
        kept = batch[torch.float32].isfinite().all(1)
        if finite is not None:
            kept &= finite
        inside = (index >= 0) & (index < self.num_samples)
        if labelled is None:
            self._left_out += (~kept).sum()
        else:
            self._left_out += (labelled & ~kept).sum()
            kept &= labelled
        self._misplaced += (~inside).sum()
        trash = self.placement.num_rows
        row, own = self.placement.rows_of(index)
        if self.placement.sharded:
            self._foreign += (inside & ~own).sum()
        row = torch.where(kept & inside, row, trash)

        ints, sums = self._staged[torch.int16], self._staged[torch.int16].span("sum")
        before = ints.data[:, sums].index_select(0, row)
        # A count at 32,767 stays; one that a repeat inside the batch took past it has wrapped: `commit` mends that.
        room = (before >= 0) & (before < INT16_MAX)
        # A row that counts no more sums no more: what is divided by the count stays a mean.
        summed = torch.where(room[:, ints.slices["n_seen"].start], row, trash)
        ints.data[:, sums].index_add_(0, summed, batch[torch.int16][:, sums] * room)
        if any(c.merge != "sum" for c in self.staged_columns):
            seen = before[:, ints.slices["n_seen"].start]
            first_of_batch, last_of_batch = self._run_ends(row, seen)
            where = {
                "first": torch.where(first_of_batch & (seen == 0), row, trash),
                "last": torch.where(last_of_batch, row, trash),
            }
            for dtype, matrix in self._staged.items():
                for merge, target in where.items():
                    span = matrix.span("first" if merge == "first" else "last")
                    if span.stop > span.start:
                        matrix.data[:, span].index_copy_(0, target, batch[dtype][:, span])
        floats = self._staged[torch.float32]
        span = floats.span("sum")
        if span.stop > span.start:
            floats.data[:, span].index_add_(0, summed, batch[torch.float32][:, span])

    def _run_ends(self, row: Tensor, seen_before: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of the first and the last occurrence of each row in the batch, once its counts are staged."""
        if row.device.type == "cpu":  # looking costs nothing here, and saves the sort: samplers hardly ever repeat
            seen = self._staged[torch.int16].data[:, self._staged[torch.int16].slices["n_seen"].start][row]
            if bool(((seen == seen_before + 1) | (row == self.placement.num_rows)).all()):
                once = torch.ones_like(row, dtype=torch.bool)
                return once, once
        return run_ends(row)

    def _check_names(self, values: Mapping[str, Tensor]) -> None:
        expected = {c.name for c in self.staged_columns} - {"n_seen"}
        if values.keys() != expected:
            missing, extra = sorted(expected - values.keys()), sorted(values.keys() - expected)
            raise KeyError(f"`values` must have the columns {sorted(expected)}; missing {missing}, unknown {extra}")

    def check_index(self, index: Tensor) -> None:
        """Refuse what are no row numbers of this table.

        Raises:
            TypeError: They are not integers.
            IndexError: One is out of range (told on the CPU only: a GPU would wait).
        """
        if index.is_floating_point() or index.ndim != 1:
            found = f"{tuple(index.shape)} {index.dtype}"
            raise TypeError(f"`index` must be (B,) integers, got {found}: pass positions in the training set")
        if index.device.type == "cpu" and len(index):
            low, high = index.aminmax()
            if index.dtype == torch.bool or low < 0 or high >= self.num_samples:
                check_index("index", index.numpy(), self.num_samples)

    def _on_device(self, index: Tensor) -> Tensor:
        self.check_index(index)
        return index.to(self.device, torch.int64, non_blocking=True)

    # -- commit -------------------------------------------------------------------------------------------------

    def commit(self, epoch: int, advance: Advance | None = None) -> int:
        """Merge what all ranks staged, apply it to the state, and start an empty stage.

        Every row has one owner: the lowest rank that saw it. The others' rows are zeroed before the sum, so a
        sampler's padding duplicates vanish and integers stay exact. A row that an earlier commit of the same
        ``epoch`` has already applied is left out for the same reason. A row that would be past 32,767 presentations
        keeps its sums, ``n_seen`` among them: what is divided by it stays a mean. This is a collective call: all ranks
        make it together.

        Args:
            epoch: Number of the epoch that the staged rows belong to, from 0; after 32,767, where a warning says so,
                nothing is applied any more.
            advance: ``(state, staged) -> new values`` of ``"ordered"`` columns, both given as views over all rows; only
                rows that were staged take the new values.

        Returns:
            How many observations this rank left out because a value was NaN or infinite.

        Raises:
            ValueError: ``epoch`` is below 0.
            KeyError: ``advance`` returned something that is no ordered column.
            IndexError: An index was out of range since the last commit.
        """
        if epoch < 0:
            raise ValueError(f"`epoch` must be at least 0, got {epoch}: count the passes over the data from 0")
        if epoch > INT16_MAX:
            return self._finish_uncounted()
        if not self.placement.sharded:
            merge_ranks(self._staged)
        staged = self._staged[torch.float32].views() | self._staged[torch.int16].views()
        for column in self._staged[torch.int16].columns:
            if column.merge == "sum":  # past 32,767 a staged count has wrapped to a negative number
                staged[column.name].copy_(torch.where(staged[column.name] < 0, INT16_MAX, staged[column.name]))
        state = self.views()
        seen = (staged["n_seen"] > 0) & (state["last_epoch"] != epoch)
        ordered = dict(advance(state, staged)) if advance is not None else {}
        known = [c.name for c in self.columns if c.merge == "ordered" and c != LAST_EPOCH]
        if not ordered.keys() <= set(known):
            raise KeyError(f"`advance` must return some of the ordered columns {known}, got {sorted(ordered)}")
        ordered["last_epoch"] = torch.full_like(state["last_epoch"], epoch)
        # All are computed before one is written: what `advance` returned may be a view of another column.
        new = {c: rows_where(seen, fit(ordered[c.name], c), state[c.name]) for c in self.columns if c.name in ordered}
        for column, value in new.items():
            state[column.name].copy_(value)
        self._apply(state, staged, seen)
        return self._finish_commit()

    def _apply(self, state: Views, staged: Views, seen: Tensor) -> None:
        """Apply what was observed: of the rows seen, those that the count has room for take the sums."""
        summed = seen & (state["n_seen"].int() + staged["n_seen"] <= INT16_MAX)
        for column in self.columns:
            old = state[column.name]
            if column.merge == "sum":
                value = staged[column.name].to(torch.int32 if column.dtype == torch.int16 else column.dtype)
                old.copy_(rows_where(summed, fit(old + value, column), old))
            elif column.merge != "ordered":
                old.copy_(rows_where(seen, fit(staged[column.name], column), old))

    def _finish_commit(self) -> int:
        for matrix in self._staged.values():
            matrix.data.zero_()
        left_out, misplaced, foreign = int(self._left_out), int(self._misplaced), int(self._foreign)
        for counter in (self._left_out, self._misplaced, self._foreign):
            counter.zero_()
        self.num_non_finite += left_out
        if misplaced:
            raise IndexError(
                f"`index` must be in [0, {self.num_samples}), but {misplaced} observations since the last commit were "
                "outside: `num_samples` must be the size of the training set that the indices point into"
            )
        if foreign > self.placement.world:  # fewer are a sampler's padding
            raise ValueError(
                f"`sharded` rows need a loader that gives sample i to rank i mod {self.placement.world}, but rank "
                f"{self.placement.rank} saw {foreign} samples of other ranks since the last commit: use TensorLoader "
                "with `rank=` and `world_size=` (a NoisyDataModule passes them), or a table that is not sharded"
            )
        return left_out

    def _finish_uncounted(self) -> int:
        if not self._over:
            warnings.warn(f"a table counts {INT16_MAX:,} epochs: it stays as it is from here on", stacklevel=3)
        self._over = True
        return self._finish_commit()

    def discard_staged(self) -> int:
        """Drop what was staged since the last commit and return how many rows that was."""
        staged = int((self._staged[torch.int16].views()["n_seen"] != 0).sum())
        for matrix in self._staged.values():
            matrix.data.zero_()
        return staged

    # -- checkpoint ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return committed and staged rows as plain CPU tensors (loadable with ``weights_only=True``).

        Runs no collective: on several ranks it holds this rank's staged rows, and all ranks' committed ones. Only of a
        sharded table does it gather the rows of all ranks, staged ones too; all ranks call it together then.
        """
        world = 1 if self.placement.sharded else process()[1]
        out: dict[str, Any] = {
            "num_samples": self.num_samples,
            "columns": signature(self.columns),
            "staged_columns": signature(self.staged_columns),
            "world_size": world,
            "num_non_finite": self.num_non_finite + int(self._left_out),
        }
        for key, group in (("state", self._state), ("staged", self._staged)):
            for dtype, matrix in group.items():
                name = f"{key}_{'float' if dtype == torch.float32 else 'int'}"
                out[name] = self.placement.gather(matrix.data[:-1].detach()).to("cpu", copy=True)
        return out

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        After a run on several ranks, only rank 0's uncommitted rows are known; how many were lost is warned of once.

        Raises:
            ValueError: The saved table has another number of samples or other columns.
        """
        if state["num_samples"] != self.num_samples:
            raise ValueError(
                f"the saved table has {state['num_samples']} samples, this one {self.num_samples}: "
                "resume with the training set that the checkpoint was made on"
            )
        for key, columns in (("columns", self.columns), ("staged_columns", self.staged_columns)):
            mine = signature(columns)
            if state[key] != mine:
                raise ValueError(
                    f"the saved table has the {key} {state[key]}, this one {mine}: resume with the same signals"
                )
        for key, group in (("state", self._state), ("staged", self._staged)):
            for dtype, matrix in group.items():
                whole = state[f"{key}_{'float' if dtype == torch.float32 else 'int'}"]
                matrix.data[:-1].copy_(self.placement.take(whole))
        self.num_non_finite = int(state["num_non_finite"])
        for counter in (self._left_out, self._misplaced, self._foreign):
            counter.zero_()
        self._restore_stage_by_rank(int(state["world_size"]))

    def _restore_stage_by_rank(self, saved_world: int) -> None:
        if self.placement.sharded:  # each rank has its own rows back
            return
        rank, _ = process()
        staged = int((self._staged[torch.int16].views()["n_seen"] != 0).sum())
        if rank != 0:
            self.discard_staged()
        elif saved_world > 1 and staged:
            warnings.warn(
                f"the checkpoint was saved in mid-epoch on {saved_world} processes: rank 0's {staged} uncommitted rows "
                f"are restored, about {staged * (saved_world - 1)} of the other ranks are lost for that epoch",
                stacklevel=3,
            )


__all__ = ["Column", "Merge", "SampleTable", "Views", "available_bytes"]
