"""A loader for data that fits in memory: it lives on the training device and never passes through a worker."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisylearn._checks import check_index, check_positive_int
from noisylearn.data.augment import Augmentation
from noisylearn.data.batch import Batch

_ORDER, _AUGMENT, _PLAN = 0, 1, 2  # which stream of random numbers


def _generator(seed: int, *key: int) -> torch.Generator:
    """Return a CPU generator seeded from ``seed`` and ``key`` through NumPy's ``SeedSequence``."""
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def epoch_generator(seed: int, epoch: int, rank: int) -> torch.Generator:
    """Return a CPU generator for what an epoch's plan draws, apart from the loader's own streams.

    Args:
        seed: The data's seed.
        epoch: The epoch.
        rank: The process.

    Example:
        >>> one, other = (torch.rand(1, generator=epoch_generator(0, epoch, 0)) for epoch in (3, 4))
        >>> bool(one != other)
        True
    """
    return _generator(seed, _PLAN, epoch, rank)


class TensorLoader:
    """Batches of a tensor data set, with the sample's index, its own sharding and an exact position.

    A step costs one gather of the images, one of the targets and, with ``augment``, what the augmentation does with
    the whole batch; nothing is done per sample in Python and nothing waits for the device. Use it as any loader: it
    has a length, and Lightning calls `set_epoch` through the attribute `sampler`.

    *Order.* The permutation of an epoch depends on (seed, epoch) alone; a rank takes from it the samples ``i``
    with ``i % world_size == rank``, so a sample stays on one rank for good. A rank that has fewer samples than
    another ends with the first of other ranks', so that all have the same number of batches: a `SampleTable`, where
    one rank's row counts, shows no trace of it, as it would of a rank's own sample served twice. ``drop_last`` drops
    the last, smaller batch after that. Augmentation depends on (seed, epoch, rank) and the position in
    the epoch, never on the device.

    *Position.* `state_dict` holds the epoch and how many of its batches were yielded. After `load_state_dict`
    the first pass over that epoch goes on from there; if the epoch was complete, the next pass is the next
    epoch. Without `set_epoch`, every complete pass leads on to the next epoch; a pass that was broken off is
    started afresh.

    Args:
        images: ``(N, C, H, W)`` uint8, or ``(N, ...)`` floating point features.
        targets: ``(N,)`` integers, the labels given.
        batch_size: Samples per batch and rank.
        shuffle: Whether the order is drawn anew every epoch; else it is the order of ``indices``.
        seed: Non-negative seed of order and augmentation.
        rank: This process.
        world_size: Number of processes.
        drop_last: Leave out the last batch if it is smaller.
        augment: What is done to the images, e.g. `Augment`; None for nothing. Of a sequence each makes a view, with
            draws of its own, and `Batch.input` is the tuple of them.
        normalize: Per-channel (mean, std) on the scale 0..1, images only; None leaves 0..1.
        device: Where the data lives; None leaves it where ``images`` is.
        indices: ``(M,)`` rows to serve, without duplicates; None serves all. `Batch.index` is the row.
        plan: ``(K,)`` rows of this rank in the order to serve them in every epoch, repeats allowed, in place of an
            order of its own; each rank's as long as the others'.
        channels_last: Give ``(B, C, H, W)`` inputs in channels-last memory format.

    Attributes:
        in_hand: How many of the batches yielded are not done with, 0 by default: a step that an error has broken off
            is made again by a run that goes on.

    Raises:
        TypeError: A dtype is wrong.
        ValueError: The data is empty, lengths differ, a label is negative, or the sizes allow no batch.
        IndexError: ``indices`` leaves the range of the data.

    Example:
        >>> from noisylearn.data import Augment
        >>> images = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
        >>> loader = TensorLoader(images, torch.arange(10) % 2, batch_size=4, shuffle=True, augment=Augment(1))
        >>> [batch.input.shape[0] for batch in loader]
        [4, 4, 2]
        >>> sorted(torch.cat([batch.index for batch in loader]).tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    batch_sampler = None
    """There is none; Lightning asks every loader that has a sampler."""

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        augment: Augmentation | Sequence[Augmentation | None] | None = None,
        normalize: tuple[Sequence[float], Sequence[float]] | None = None,
        device: torch.device | str | None = None,
        indices: Tensor | None = None,
        plan: Tensor | None = None,
        channels_last: bool = True,
    ) -> None:
        self.augment = augment
        augmented = any(view is not None for view in self._views)
        _check_data(images, targets, needs_images=augmented or normalize is not None)
        self.batch_size = check_positive_int("batch_size", batch_size)
        self.world_size = check_positive_int("world_size", world_size)
        if not 0 <= rank < world_size:
            raise ValueError(f"`rank` must be in [0, {world_size}), got {rank}: count ranks from 0")
        if seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {seed}: pass e.g. 0")
        self.device = torch.device(device) if device is not None else images.device
        self.images = images.to(self.device, memory_format=torch.contiguous_format)
        self.targets = targets.to(self.device, torch.int64)
        self.shuffle, self.seed, self.rank = shuffle, seed, rank
        self.channels_last = channels_last and images.ndim == 4
        self._scale = _affine(images, normalize, self.device)
        self._rows = _check_rows(indices, len(images))
        self._plan = None if plan is None else torch.from_numpy(check_index("plan", plan.cpu().numpy(), len(images)))
        self._count_batches(drop_last)
        self._epoch, self._position = 0, 0
        self._resuming, self._saved_batches = False, self._num_batches
        self.in_hand: Callable[[], int] = int

    @property
    def sampler(self) -> TensorLoader:
        """The loader itself: Lightning calls `set_epoch` on the attribute of this name."""
        return self

    @property
    def num_samples(self) -> int:
        """Size of the whole training set: the rows that `Batch.index` points into."""
        return len(self.images)

    @property
    def _views(self) -> Sequence[Augmentation | None]:
        return self.augment if isinstance(self.augment, Sequence) else [self.augment]

    def sweep(self, at_most: int | None = None) -> TensorLoader:
        """Return a loader of the same rows in order and without augmentation, over the same images.

        Args:
            at_most: About so many of the rows, evenly spaced, instead of all.
        """
        loader = copy.copy(self)
        loader.shuffle, loader.augment, loader._plan = False, None, None
        if at_most is not None:  # shared out by place: all of every third row may be one of three ranks' own
            rows = self._rows[:: -(-len(self._rows) // at_most)]
            loader.rank, loader.world_size, loader._rows = 0, 1, rows[self.rank :: self.world_size]
        loader._count_batches(drop_last=False)
        loader._epoch = loader._position = 0
        loader._resuming = False
        return loader

    def _count_batches(self, drop_last: bool) -> None:
        """Work out this rank's share of the rows and how many batches it makes."""
        shares = torch.bincount(self._rows % self.world_size, minlength=self.world_size)
        if int(shares.min()) == 0:
            raise ValueError(
                f"`world_size` must leave every rank a sample, got {self.world_size} ranks for {len(self._rows)} "
                "samples: use fewer processes"
            )
        self._share_size = int(shares.max()) if self._plan is None else len(self._plan)
        self._num_batches = (self._share_size + (0 if drop_last else self.batch_size - 1)) // self.batch_size
        if self._num_batches == 0:
            raise ValueError(
                f"`batch_size` must be at most {self._share_size} with `drop_last`, got {self.batch_size}: "
                "there would be no batch"
            )

    def __len__(self) -> int:
        """Return the number of batches per epoch, the same on every rank."""
        return self._num_batches

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of ``epoch``; a position just loaded for that same epoch is kept."""
        if not (self._resuming and epoch == self._epoch):
            self._epoch, self._position, self._resuming = epoch, 0, False

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the batches of it that are done with and the batches it has."""
        num_batches = self._saved_batches if self._resuming else self._num_batches
        return {"epoch": self._epoch, "position": self._position - self.in_hand(), "num_batches": num_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._resuming, self._saved_batches = True, int(state.get("num_batches", self._num_batches))

    def _start(self) -> int:
        """Settle the epoch and return the first batch of a pass."""
        complete = self._position >= (self._saved_batches if self._resuming else self._num_batches)
        if complete:
            self._epoch, self._position = self._epoch + 1, 0
        elif self._resuming and self._position and self._saved_batches != self._num_batches:
            raise ValueError(
                f"`batch_size` or the number of processes changed in mid-epoch: epoch {self._epoch} had "
                f"{self._saved_batches} batches when it was saved and has {self._num_batches} now: "
                "resume with the same, or from a checkpoint of an epoch's end"
            )
        start = self._position if self._resuming else 0
        self._resuming = False
        return start

    def _order(self, epoch: int) -> Tensor:
        """Return this rank's rows of ``epoch``, in order and padded: ``(share,)`` int64 on the CPU."""
        if self._plan is not None:
            return self._plan
        order = self._rows
        if self.shuffle:
            order = order[torch.randperm(len(order), generator=_generator(self.seed, _ORDER, epoch))]
        mine = order % self.world_size == self.rank
        return torch.cat([order[mine], order[~mine]])[: self._share_size]

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the epoch; which epoch that is, is read at the first ``next``."""
        start = self._start()
        order = self._order(self._epoch).to(self.device)
        generator = _generator(self.seed, _AUGMENT, self._epoch, self.rank)
        views = [
            None if augment is None else (augment, augment.draw(self._share_size, generator)) for augment in self._views
        ]
        for position in range(start, self._num_batches):
            part = slice(position * self.batch_size, (position + 1) * self.batch_size)
            index = order[part]
            inputs = []
            for view in views:
                images = self.images.index_select(0, index)  # on a CPU much faster than indexing
                inputs.append(self._to_input(images if view is None else view[0](images, view[1][part])))
            self._position = position + 1
            yield Batch(tuple(inputs) if isinstance(self.augment, Sequence) else inputs[0], self.targets[index], index)

    def _to_input(self, images: Tensor) -> Tensor:
        if self._scale is not None:
            factor, shift = self._scale
            images = images.to(torch.float32).mul_(factor).sub_(shift)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images


def _check_data(images: Tensor, targets: Tensor, needs_images: bool) -> None:
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"`images` must be uint8 or floating point, got {images.dtype}: cast 0..255 to uint8")
    if images.ndim < 2 or len(images) == 0:
        raise ValueError(f"`images` must hold at least one sample, got shape {tuple(images.shape)}")
    if images.ndim != 4 and (needs_images or images.dtype == torch.uint8):
        raise ValueError(f"`images` must be (N, C, H, W), got shape {tuple(images.shape)}: add the channel axis")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"`targets` must be integer class ids, got {targets.dtype}: cast them with .long()")
    if targets.shape != images.shape[:1]:
        raise ValueError(f"`targets` must have shape ({len(images)},), one label per image, got {tuple(targets.shape)}")
    if int(targets.min()) < 0:
        at = int(targets.argmin())
        raise ValueError(f"`targets` must be at least 0, got {int(targets[at])} at position {at}: use ids from 0")


def _check_rows(indices: Tensor | None, num_samples: int) -> Tensor:
    if indices is None:
        return torch.arange(num_samples)
    rows = check_index("indices", indices.cpu().numpy(), num_samples)
    if len(rows) == 0:
        raise ValueError("`indices` must hold at least one row, got none: pass None for all of them")
    if repeated := len(rows) - len(np.unique(rows)):
        raise ValueError(f"`indices` must not repeat a row, got {repeated} repetitions: pass each row once")
    return torch.from_numpy(rows)


def _affine(
    images: Tensor, normalize: tuple[Sequence[float], Sequence[float]] | None, device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """Return (factor, shift) with input = pixel * factor - shift, ``(C, 1, 1)`` each, or None to leave as is."""
    full = 255.0 if images.dtype == torch.uint8 else 1.0
    if normalize is None:
        return None if full == 1.0 else (torch.tensor(1 / full, device=device), torch.tensor(0.0, device=device))
    mean, std = (torch.as_tensor(part, dtype=torch.float64).view(-1, 1, 1) for part in normalize)
    if len(mean) != images.shape[1] or len(std) != images.shape[1] or bool((std <= 0).any()):
        raise ValueError(
            f"`normalize` must be (mean, std) with {images.shape[1]} channels each and positive std, got {normalize}"
        )
    return (1 / (full * std)).float().to(device), (mean / std).float().to(device)
