"""`SignalHistory`: what each sample showed in every epoch, as a file of half-precision numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisylearn._checks import check_choice
from noisylearn._compat import Callback
from noisylearn.callbacks.signal_writer import Tracker, check_writable

DTYPE = np.dtype("<f2")
"""Of the numbers in the file."""


def read_history(path: str | Path) -> np.memmap[Any, np.dtype[np.float16]]:
    """Return a history, mapped into memory: only what is looked at is read.

    Args:
        path: The file that `SignalHistory` or `write_epoch` has written; its header lies beside it.

    Returns:
        ``(epochs, N)`` float16, read-only: NaN where a sample was not seen in an epoch, and throughout where nothing
        was measured in it. An epoch that was being written when a run was killed is not there.

    Raises:
        FileNotFoundError: There is no such file, or no header beside it.
        ValueError: The first epoch is not complete yet.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "history.f16")
        >>> write_epoch(path, 0, torch.tensor([0.5, 2.0]))
        >>> write_epoch(path, 1, torch.tensor([0.25, torch.nan]))
        >>> read_history(path).tolist()
        [[0.5, 2.0], [0.25, nan]]
    """
    path = Path(path)
    num_samples = _num_samples(path)
    epochs = path.stat().st_size // (num_samples * DTYPE.itemsize)
    if not epochs:
        raise ValueError(f"{path} has no complete epoch yet: read it when the first one is over")
    return np.memmap(path, DTYPE, mode="r", shape=(epochs, num_samples))


def write_epoch(path: Path, epoch: int, values: Tensor, about: dict[str, Any] | None = None) -> None:
    """Write one epoch of a history in place; epochs before it that are missing become NaN, later ones are kept.

    Args:
        path: The file; it is made where there is none.
        epoch: The epoch's number, from 0.
        values: ``(N,)``; beyond 65,504 they become infinite.
        about: What else a new file's header says, beside ``num_samples``.

    Raises:
        ValueError: The file has another number of samples.
    """
    if not path.exists():
        header = {**(about or {}), "dtype": "float16", "num_samples": len(values)}
        _header(path).write_text(json.dumps(header) + "\n", encoding="utf-8")
        path.touch()
    if (known := _num_samples(path)) != len(values):
        raise ValueError(
            f"`values` must have {known} samples, as {path} has, got {len(values)}: choose another file, or delete it"
        )
    row = len(values) * DTYPE.itemsize
    with path.open("r+b") as file:
        written = file.seek(0, os.SEEK_END) // row  # an epoch that was cut off does not count
        for unseen in range(written, epoch):
            file.seek(unseen * row)
            file.write(np.full(len(values), np.nan, DTYPE).tobytes())
        file.seek(epoch * row)
        file.write(values.detach().half().cpu().numpy().astype(DTYPE).tobytes())


def drop_epochs(path: Path, first: int) -> None:
    """Drop the epochs of a history from one on, if there is such a file.

    Args:
        path: The file.
        first: The first epoch that is dropped; with 0, file and header are deleted.
    """
    if first == 0:
        path.unlink(missing_ok=True)
        _header(path).unlink(missing_ok=True)
    elif path.exists():
        os.truncate(path, min(path.stat().st_size, first * _num_samples(path) * DTYPE.itemsize))


def _header(path: Path) -> Path:
    return path.with_suffix(".json")


def _num_samples(path: Path) -> int:
    return int(json.loads(_header(path).read_text(encoding="utf-8"))["num_samples"])


class SignalHistory(Callback):
    """Keeps one score of every sample for every epoch, where a tracker keeps only what has become of it.

    After each epoch in which the tracker has measured, the samples' values are written as one row of float16, 2 bytes a
    sample and epoch, which `read_history` maps into memory. The default is the mean cross-entropy that a sample has
    shown *in that epoch* (``torch.exp(-loss)`` is the confidence in its label, to which float16 would do less justice);
    other scores are as they stood after the epoch. Samples that the epoch has not seen are NaN.

    A resumed run goes on in the same file: it keeps the epochs of its checkpoint and writes those after it anew. Any
    other run begins a new file. Only the first process writes. List it after the tracker.

    Args:
        score: Which of the tracker's scores, e.g. ``"loss_last"``.
        tracker: The name of the `SignalTracker` or `SweepTracker`.
        path: The file; by default ``history_TRACKER_SCORE.f16`` in the Trainer's ``default_root_dir``.

    Example:
        >>> SignalHistory("aum").path.name
        'history_signals_aum.f16'
    """

    def __init__(self, score: str = "loss_last", tracker: str = "signals", path: str | None = None) -> None:
        super().__init__()
        self.score, self.tracker_name = score, tracker
        self.path = Path(path) if path is not None else Path(f"history_{tracker}_{score}.f16")
        self._in_root_dir = path is None
        self._goes_on = self._begun = False

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Find the tracker and its score, and try the folder now, not after hours of training.

        Raises:
            ValueError: There is no such tracker, no such score, or the tracker is listed later.
            OSError: The folder cannot be written.
        """
        if stage != "fit":
            return
        if self._in_root_dir:
            self.path = Path(trainer.default_root_dir) / self.path.name
        tracker = self._tracker(trainer)
        check_choice("score", self.score, [info.name for info in tracker.score_info])
        if trainer.callbacks.index(tracker) > trainer.callbacks.index(self):
            raise ValueError(f"`SignalHistory` must stand after the tracker {self.tracker_name!r} in the callbacks")
        if trainer.is_global_zero:
            check_writable(self.path.parent)

    def _tracker(self, trainer: Any) -> Tracker:
        trackers = {c.name: c for c in trainer.callbacks if isinstance(c, Tracker)}
        return trackers[check_choice("tracker", self.tracker_name, trackers)]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Note whether the tracker goes on from an earlier fit or from a checkpoint."""
        self._goes_on, self._begun = self._tracker(trainer).signal_set is not None, False

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the epoch."""
        self._write(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write once more: a sweep may have come at the end of the fit."""
        self._write(trainer)

    def _write(self, trainer: Any) -> None:
        tracker = self._tracker(trainer)
        if tracker.signal_set is None or not (trainer.is_global_zero or tracker.sharded):
            return
        if len(tracker.keys):
            raise ValueError("`SignalHistory` needs samples with row numbers, and these have names: number them")
        last_epoch = tracker.signal_set.table.gather()["last_epoch"]
        epoch = int(last_epoch.max())  # of the last measurement, which is written again where there is no new one
        if epoch < 0:
            return
        values = tracker.scores([self.score])[self.score].where(last_epoch == epoch, torch.nan)
        if not trainer.is_global_zero:  # it was needed for a sharded table
            return
        if not self._begun:
            drop_epochs(self.path, epoch if self._goes_on else 0)
            self._begun = True
        write_epoch(self.path, epoch, values, {"tracker": self.tracker_name, "score": self.score, **tracker.view})
