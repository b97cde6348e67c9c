"""What a sweep reads: the training set in order, each process its share, with the samples' positions."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset


class SweepLoader:
    """Batches of a loader that goes through the training set in order, and the positions of their samples.

    Args:
        loader: The loader.
        positions: What it goes through; None where the batches carry the row numbers.
        batch_size: Samples in a batch.

    Example:
        >>> passes = SweepLoader(DataLoader([5, 6, 7], batch_size=2), range(3), 2)
        >>> [rows.tolist() for _, rows in passes]
        [[0, 1], [2]]
    """

    def __init__(self, loader: Any, positions: range, batch_size: int) -> None:
        self.loader, self.positions, self.batch_size = loader, positions, batch_size

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        for number, batch in enumerate(self.loader):
            part = self.positions[number * self.batch_size : (number + 1) * self.batch_size]
            yield batch, torch.tensor(part, dtype=torch.int64)


def sweep_loader(loader: Any, trainer: Any, dataset: Any = None, at_most: int | None = None) -> SweepLoader:
    """Return what a sweep of the training set reads.

    Args:
        loader: The training loader.
        trainer: The Trainer, whose processes share the pass.
        dataset: The training set as it is to be looked at; by default the loader's own, in order and without
            augmentation where it can do so itself (`noisylearn.data.TensorLoader`) or the DataModule has a
            ``sweep_dataloader``, else as its transform makes it.
        at_most: Read about so many samples, evenly spaced; a DataModule's ``sweep_dataloader`` is read whole.

    Raises:
        ValueError: There is nothing to go through in order, or ``dataset`` has another size than the training set.
    """
    own = getattr(loader, "dataset", None)
    if dataset is None:
        if hasattr(loader, "sweep"):
            return SweepLoader(loader.sweep(at_most), range(0), 0)
        prepared = getattr(trainer.datamodule, "sweep_dataloader", None)
        if prepared is not None:
            return SweepLoader(prepared(), range(0), 0)
        dataset = own
    if not isinstance(dataset, Sized) or isinstance(dataset, IterableDataset) or not isinstance(loader, DataLoader):
        raise ValueError(
            f"`dataset`: a sweep goes through the training set by position, and a {type(loader).__name__} of "
            f"{type(dataset).__name__} has none: pass `dataset=` one that has, or track online (SignalTracker)"
        )
    if isinstance(own, Sized) and len(own) != len(dataset):
        raise ValueError(
            f"`dataset` must have the training set's samples ({len(own)}), in its order, got {len(dataset)}: only the "
            "transform may differ"
        )
    batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or 128
    stride = 1 if at_most is None else -(-len(dataset) // at_most)
    positions = range(trainer.global_rank * stride, len(dataset), trainer.world_size * stride)
    return SweepLoader(_in_order(loader, dataset, positions, batch_size), positions, batch_size)


def _in_order(loader: DataLoader[Any], dataset: Any, positions: range, batch_size: int) -> DataLoader[Any]:
    """A loader like ``loader`` that goes through ``positions`` of ``dataset``."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=positions,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )
