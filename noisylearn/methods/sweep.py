"""`sweeping`: a method's own pass over the training set, the network held still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, distributed

from noisylearn._compat import LightningModule
from noisylearn.methods._step_checks import check_batch
from noisylearn.sweeping import evaluating, sweep_loader, with_progress


@contextmanager
def sweeping(method: LightningModule, what: str) -> Iterator[Iterator[tuple[Any, Tensor, Tensor]]]:
    """Give this process's share of the training set, batch by batch, in evaluation mode and without gradients.

    Every sample comes once, without augmentation where the loader or the DataModule can leave it out. All processes
    look with the first one's buffers: each has batch-norm statistics of its own, and only the first one's are kept in a
    checkpoint. Weights, buffers, modes and random numbers are afterwards as they were.

    Args:
        method: The module of a running fit.
        what: What the pass is for, on the progress bar.

    Example:
        >>> from noisylearn.data import Digits
        >>> from noisylearn.methods import NoisyLearner
        >>> class Counting(NoisyLearner):
        ...     def begin_epoch(self):
        ...         with sweeping(self, "count") as batches:
        ...             self.count = sum(len(target) for _, target, _ in batches)
    """
    trainer = method.trainer
    batches = with_progress(sweep_loader(trainer.train_dataloader, trainer), trainer, what)
    with evaluating(trainer, method), _buffers_of_the_first_process(method):
        yield (_checked(trainer, batch) for batch, _ in batches)


def _checked(trainer: Any, batch: Any) -> tuple[Any, Tensor, Tensor]:
    check_batch(batch)
    x, target, index = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
    return x, target, index


@contextmanager
def _buffers_of_the_first_process(method: LightningModule) -> Iterator[None]:
    if method.trainer.world_size == 1:
        yield
        return
    own = [(buffer, buffer.clone()) for buffer in method.buffers()]
    for buffer, _ in own:
        distributed.broadcast(buffer, src=0)
    try:
        yield
    finally:
        for buffer, value in own:
            buffer.copy_(value)
