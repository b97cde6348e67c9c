"""Several fits one after another: seeded, checked, and shown."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.data import DataLoader

from noisylearn._compat import Callback, Trainer
from noisylearn._rng import rng_state, set_rng_state
from noisylearn.memorization.dataset_view import DatasetView

MakeTrainer: TypeAlias = Callable[[list[Callback]], Trainer]
"""Makes a Trainer that has the given callbacks, e.g. ``lambda callbacks: Trainer(callbacks=callbacks)``."""
MakeLoader: TypeAlias = Callable[[DatasetView], Any]
"""Makes the training loader of a view, e.g. ``lambda view: DataLoader(view, batch_size=64, shuffle=True)``."""

BATCH_SIZE = 64


def default_loader(view: DatasetView) -> DataLoader[Any]:
    """Return shuffled batches of 64.

    Example:
        >>> len(default_loader(DatasetView([("a", 0)] * 65)))
        2
    """
    return DataLoader(view, batch_size=BATCH_SIZE, shuffle=True)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Begin the random numbers of torch, NumPy and Python at ``seed``; afterwards they go on where they were.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(2)
        >>> with seeded(0):
        ...     torch.equal(first, torch.rand(2))
        True
    """
    before = rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_rng_state(before)


class Runs:
    """Fits one after another, with a bar of their epochs where the Trainer shows none itself.

    Args:
        title: What all of them are for.
        total: How many there will be.
        show: Whether to show anything.

    Example:
        >>> with Runs("second split", total=4) as runs:
        ...     runs.done
        0
    """

    def __init__(self, title: str, total: int, show: bool = True) -> None:
        self.done = 0
        self._title, self._total, self._show = title, total, show
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar.live.is_started:  # stopping a bar that was never shown would print an empty line
            self.bar.stop()

    def fit(
        self, make_trainer: MakeTrainer, callbacks: Sequence[Callback], module: Any, loader: Any, what: str
    ) -> None:
        """Fit once.

        Args:
            make_trainer: Makes the Trainer.
            callbacks: What has to observe the fit.
            module: The LightningModule.
            loader: The training loader.
            what: Which of the runs it is, in words.

        Raises:
            ValueError: The Trainer does not have the callbacks.
        """
        name = f"{self._title}, run {self.done + 1} of {self._total} ({what})"
        callbacks = [*callbacks, *([EpochBar(self.bar, name)] if self._show else [])]
        trainer: Any = make_trainer(callbacks)
        if any(callback not in trainer.callbacks for callback in callbacks):
            raise ValueError(
                "`make_trainer` must hand its argument to the Trainer, got one without those callbacks: "
                "lambda callbacks: Trainer(callbacks=callbacks, ...)"
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
            trainer.fit(module, loader)
        self.done += 1


class EpochBar(Callback):
    """Counts a fit's epochs on a bar; in a log, or beside a bar of the Trainer's own, it only says what begins.

    Args:
        bar: The bar; several fits may share it.
        name: What is being fitted.

    Example:
        >>> EpochBar(Progress(), "run 1 of 2").state_key
        'EpochBar'
    """

    def __init__(self, bar: Progress, name: str) -> None:
        super().__init__()
        self._bar, self._name = bar, name
        self._task: Any = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar, or print what begins."""
        if not trainer.is_global_zero:
            return
        own = trainer.progress_bar_callback
        shows_own = own is not None and own.is_enabled  # two bars would draw over each other
        if shows_own or not self._bar.console.is_terminal:
            self._bar.console.print(self._name, highlight=False)
            return
        epochs = trainer.max_epochs
        self._task = self._bar.add_task(self._name, total=epochs if epochs is not None and epochs > 0 else None)
        self._bar.start()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Count an epoch."""
        if self._task is not None:
            self._bar.advance(self._task)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the fit off the bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
