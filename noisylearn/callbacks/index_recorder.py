"""Where a sample's row number comes from when the batch does not carry it: the loader's own sampler."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, Subset

from noisylearn._compat import steps_in_hand
from noisylearn.callbacks.shadow import Shadow, unwrap

YIELD_IT = "let the batch carry it: wrap the dataset in noisylearn.data.IndexedDataset, or pass `index=`"


@dataclass
class _Pass:
    """What one iterator has yielded and nobody has read yet."""

    epoch: int
    indices: deque[Any] = field(default_factory=deque)
    open: bool = True
    read: bool = False


class RecordingSampler:
    """A sampler that remembers what it yields, for the main process to read batch by batch.

    Everything else (``set_epoch``, state) is forwarded to the wrapped sampler.

    An iterator that is given up (somebody has looked at a batch) leaves nothing behind, nor does an earlier epoch.
    Where a short loader begins again beside a longer one, its last batch may have been fetched and not been trained on
    yet: it is read first.

    Args:
        sampler: The loader's own sampler.
        batch_size: Of a loader that may begin again within an epoch; 0 where none does.
        drop_last: Whether that loader leaves out what does not fill a batch.
        epoch: Says which epoch it is.

    Example:
        >>> sampler = RecordingSampler([4, 2, 7])
        >>> list(sampler), sampler.take(2), sampler.take(2)
        ([4, 2, 7], [4, 2], [7])
    """

    def __init__(
        self, sampler: Any, batch_size: int = 0, drop_last: bool = False, epoch: Callable[[], int] = int
    ) -> None:
        self.wrapped = sampler
        self._batch_size, self._drop_last, self._epoch = batch_size, drop_last, epoch
        self._passes: list[_Pass] = []

    def __iter__(self) -> Iterator[Any]:
        new = _Pass(self._epoch())
        self._passes = [old for old in self._passes if self._goes_on(old, new.epoch)] + [new]
        count = 0
        try:
            for index in self.wrapped:
                new.indices.append(index)
                count += 1
                yield index
        except GeneratorExit:
            new.indices.clear()
            raise
        finally:
            new.open = False
        if self._drop_last and self._batch_size:
            for _ in range(count % self._batch_size):
                new.indices.pop()

    def _goes_on(self, old: _Pass, epoch: int) -> bool:
        """Whether something is left to be read of an earlier iterator when another begins.

        One that has come to its end and was never read is somebody else's, unless it was a single batch.
        """
        left = bool(old.indices) and (old.read or len(old.indices) <= self._batch_size)
        return old.epoch == epoch and (old.open or left)

    def __len__(self) -> int:
        return len(self.wrapped)

    def __getattr__(self, name: str) -> Any:
        if name == "wrapped":  # not set yet, while unpickling
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def take(self, count: int) -> list[Any]:
        """Remove and return the next ``count`` indices (fewer at the end).

        Raises:
            ValueError: Two iterators are open, and which of them is trained on is not known.
        """
        if sum(part.open for part in self._passes) > 1:
            raise ValueError(
                f"the training loader is read by two iterators at once, so the rows cannot be told: {YIELD_IT}"
            )
        first = next((part for part in self._passes if part.indices), _Pass(0))
        first.read = True
        return [first.indices.popleft() for _ in range(min(count, len(first.indices)))]


class IndexRecorder:
    """Records the training loader's indices, with no change to dataset or batches.

    `attach` shadows ``strategy.process_dataloader``, which Lightning calls after it has put a distributed sampler into
    the loader and before the first iterator exists; `detach` puts everything back.

    Args:
        loader: Which of several training loaders is asked for: its key in the dict or list of them.

    Example:
        >>> IndexRecorder().detach()  # nothing was attached
    """

    def __init__(self, loader: str | int | None = None) -> None:
        self._key = loader
        self._trainer: Any = None
        self._shadow: Shadow | None = None
        self._samplers: list[tuple[Any, RecordingSampler]] = []

    def attach(self, trainer: Any) -> None:
        """Record the training loaders that ``trainer`` will make.

        Args:
            trainer: A Trainer whose strategy is set up.
        """
        self.detach()
        self._trainer = trainer
        self._shadow = Shadow(trainer.strategy, "process_dataloader", self._process)

    def _process(self, process: Callable[[Any], Any], loader: Any) -> Any:
        loader = process(loader)
        if self._trainer.training:
            self._record(loader)
        return loader

    def _record(self, loader: Any) -> None:
        self._restore_samplers(loader)
        if recordable(loader) is None:
            batches, trainer = loader.batch_sampler, self._trainer
            size = 0 if self._key is None else batches.batch_size  # one loader alone does not begin again
            sampler = RecordingSampler(batches.sampler, size, batches.drop_last, lambda: trainer.current_epoch)
            self._samplers.append((loader, sampler))
            loader.batch_sampler.sampler = sampler

    def _restore_samplers(self, only: Any = None) -> None:
        for loader, sampler in self._samplers:
            if only is None or loader is only:
                unwrap(loader.batch_sampler, "sampler", sampler)
        self._samplers = [pair for pair in self._samplers if only is not None and pair[0] is not only]

    def detach(self) -> None:
        """Put the loaders' samplers and the strategy's method back."""
        self._restore_samplers()
        if self._shadow is not None:
            self._shadow.remove()
        self._trainer = self._shadow = None

    def tracked_loader(self) -> Any:
        """Return the training loader that is asked for.

        Raises:
            ValueError: There are several, and none or an unknown one was named.
        """
        return tracked_loader(self._trainer, self._key)

    def take(self, count: int) -> Tensor:
        """Return the row numbers of the batch that was just trained on.

        Args:
            count: Rows in the batch.

        Returns:
            ``(count,)`` int64 on the CPU.

        Raises:
            ValueError: The loader does not tell (the message says why), or rows were dropped on the way.
            TypeError: The indices are not integers.
        """
        loader = self.tracked_loader()
        reason = recordable(loader)
        sampler = next((s for tracked, s in self._samplers if tracked is loader), None)
        if reason is not None or sampler is None:
            raise ValueError(f"the sample index cannot be recorded: {reason}: {YIELD_IT}")
        indices = sampler.take(loader.batch_sampler.batch_size)
        if count != len(indices):
            raise ValueError(
                f"the batch has {count} rows where the sampler gave {len(indices)}, so rows and indices do not match: "
                f"{YIELD_IT}"
            )
        return torch.tensor([_as_int(i) for i in indices], dtype=torch.int64)


def tracked_loader(trainer: Any, key: str | int | None) -> Any:
    """Return the training loader that is asked for.

    Args:
        trainer: The Trainer, once it has made its loaders.
        key: Which of several it is; None where there is one.

    Raises:
        ValueError: There is none of that key.
    """
    loaders = trainer.train_dataloader
    if key is None:
        return loaders
    try:
        return loaders[key]
    except (KeyError, IndexError, TypeError) as error:
        keys = list(loaders) if isinstance(loaders, dict) else f"a {type(loaders).__name__}"
        raise ValueError(f"`loader={key!r}` is none of the training loaders, which are {keys}") from error


def count_steps_in_hand(trainer: Any) -> None:
    """Let loaders that keep their position (`noisylearn.data.TensorLoader`) leave out a step that was not finished.

    Args:
        trainer: The Trainer, once it has made its loaders.
    """
    loaders = trainer.train_dataloader
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
        if hasattr(loader, "in_hand"):
            loader.in_hand = partial(steps_in_hand, trainer)


def _as_int(index: Any) -> int:
    try:
        if not isinstance(index, bool):
            return operator.index(index)
    except TypeError:
        pass  # told below, as for a bool
    raise TypeError(f"the sampler must yield integers, got {index!r}: {YIELD_IT}")


def recordable(loader: Any) -> str | None:
    """Return why a loader's indices cannot be recorded, or None if they can.

    Args:
        loader: The training loader.

    Example:
        >>> recordable(DataLoader([1, 2, 3], batch_size=2)) is None
        True
        >>> recordable(DataLoader([1, 2, 3], batch_size=None))
        '`batch_size=None` leaves no batch sampler'
        >>> recordable({"labelled": DataLoader([1])})
        'there are several training loaders, in a dict; say which with `loader=`'
    """
    if isinstance(loader, dict | list | tuple):
        return f"there are several training loaders, in a {type(loader).__name__}; say which with `loader=`"
    if not isinstance(loader, DataLoader):
        return f"the training loader is a {type(loader).__name__}, not one torch DataLoader"
    if isinstance(loader.dataset, IterableDataset):
        return "an IterableDataset has no positions"
    if loader.batch_sampler is None:
        return "`batch_size=None` leaves no batch sampler"
    if not getattr(loader, "in_order", True):
        return "`in_order=False` delivers batches in another order than the sampler's"
    if getattr(type(loader.batch_sampler), "__iter__", None) is not BatchSampler.__iter__:
        return f"the batch sampler, {type(loader.batch_sampler).__name__}, makes batches in its own way"
    return None


def source_index(dataset: Any) -> list[int] | None:
    """Return, for each position of a chain of ``Subset``s, the position in the innermost dataset; None if no chain.

    Args:
        dataset: The loader's dataset.

    Example:
        >>> source_index(Subset(Subset([10, 11, 12, 13], [3, 1, 0]), [2, 0]))
        [0, 3]
    """
    if not isinstance(dataset, Subset):
        return None
    inner = source_index(dataset.dataset)
    own = [int(i) for i in dataset.indices]
    return own if inner is None else [inner[i] for i in own]


def innermost(dataset: Any) -> Any:
    """Return the dataset inside a chain of ``Subset``s, or the dataset itself.

    Args:
        dataset: The loader's dataset.

    Example:
        >>> innermost(Subset(Subset([10, 11, 12, 13], [3, 1, 0]), [2, 0]))
        [10, 11, 12, 13]
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset
