"""Which rows of a table a process keeps, all or its own, and how those of several become one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._columns import Matrix


class Placement:
    """Maps samples to the rows of this process.

    Replicated, every process has every row. Sharded, sample ``i`` has its row on rank ``i mod R`` alone, as
    `noisylearn.data.TensorLoader` hands samples out: memory divides by the number of processes, and nothing is
    exchanged in training.

    Args:
        num_samples: Samples of the training set.
        sharded: Whether rows are shared out; with one process it makes no difference.

    Example:
        >>> Placement(5, sharded=True).num_rows  # one process has them all
        5
    """

    def __init__(self, num_samples: int, sharded: bool) -> None:
        self.num_samples = num_samples
        self.rank, self.world = process() if sharded else (0, 1)
        self.num_rows = len(range(self.rank, num_samples, self.world))

    @property
    def sharded(self) -> bool:
        """Whether another process has rows that this one has not."""
        return self.world > 1

    def rows_of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the samples' rows here, and which of them are this process's.

        Args:
            index: ``(B,)`` int64 in ``[0, num_samples)``.

        Returns:
            ``(B,)`` int64, where the row is another's ``num_rows``, and ``(B,)`` bool.
        """
        if not self.sharded:
            return index, torch.ones_like(index, dtype=torch.bool)
        own = index % self.world == self.rank
        return torch.where(own, index // self.world, self.num_rows), own

    def take(self, whole: Tensor) -> Tensor:
        """Return this process's rows of ``(N, ...)``."""
        return whole[self.rank :: self.world]

    def gather(self, rows: Tensor) -> Tensor:
        """Return every process's rows as ``(N, ...)``, on the device of ``rows``; a collective call.

        Args:
            rows: ``(num_rows, ...)``, this process's.
        """
        if not self.sharded:
            return rows
        most = -(-self.num_samples // self.world)
        padded = torch.cat([rows, rows.new_zeros(most - len(rows), *rows.shape[1:])])
        # Neither gloo nor NCCL gathers int16.
        wide = padded.to(torch.int32) if padded.dtype == torch.int16 else padded
        every = [torch.empty_like(wide) for _ in range(self.world)]
        torch.distributed.all_gather(every, wide)
        whole = torch.stack(every, 1).flatten(0, 1)[: self.num_samples]
        return whole.to(rows.dtype)


def process() -> tuple[int, int]:
    """Return the rank of this process and how many there are.

    Example:
        >>> process()
        (0, 1)
    """
    dist = torch.distributed
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def merge_ranks(staged: Mapping[torch.dtype, Matrix]) -> None:
    """Give every rank the same staged rows, in place; a collective call where there are several.

    Every row has one owner: the lowest rank that saw it. The others' rows are zeroed before the sum.

    Args:
        staged: The staged rows by dtype.
    """
    rank, world = process()
    if world == 1:
        return
    dist = torch.distributed
    seen = staged[torch.int16].views()["n_seen"] != 0
    owner = torch.where(seen, rank, world).to(torch.int32)
    dist.all_reduce(owner, op=dist.ReduceOp.MIN)
    mine = (owner == rank)[:, None]
    for dtype, matrix in staged.items():
        if not matrix.columns:
            continue
        # Neither gloo nor NCCL reduces int16. A row has one non-zero term, so the sum is exact.
        rows = matrix.data[:-1].to(torch.int32) if dtype == torch.int16 else matrix.data[:-1]
        rows = torch.where(mine, rows, 0)
        dist.all_reduce(rows)
        matrix.data[:-1].copy_(rows)
