"""`SignalWriter`: the tracked signals as parquet files, one row per training sample."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from noisylearn._compat import Callback
from noisylearn.callbacks.signal_table import signal_table
from noisylearn.callbacks.signal_tracker import SignalTracker
from noisylearn.callbacks.sweep_tracker import SweepTracker

Tracker = SignalTracker | SweepTracker


def write_atomically(table: pa.Table, path: Path) -> None:
    """Write a parquet file so that a reader sees the old file or the new one, never a part.

    Args:
        table: What to write.
        path: Where to; the folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:  # a name would be read as a URI where it has a colon
            pq.write_table(table, file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class SignalWriter(Callback):
    """Writes the signals of the run's trackers to parquet files at the end of fit and on interruption.

    The first `SignalTracker` has the file that ``path`` names; each further tracker, and each `SweepTracker`, has one
    beside it with its name behind: ``signals_sweep.parquet``.

    Args:
        path: The file; by default ``signals.parquet`` in the Trainer's ``default_root_dir``.
        clean_targets: True labels where known, -1 elsewhere, for the column ``clean``; by default the DataModule's
            ``clean_targets``.

    Example:
        >>> SignalWriter("runs/mine/signals.parquet").path.name
        'signals.parquet'
    """

    def __init__(self, path: str | None = None, clean_targets: Any = None) -> None:
        super().__init__()
        self._clean_given = clean_targets
        self.path = Path(path) if path is not None else Path("signals.parquet")
        self._in_root_dir = path is None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Find the trackers and try the folder now, not after hours of training.

        Raises:
            ValueError: The Trainer has no tracker.
            OSError: The folder cannot be written.
        """
        if stage != "fit":
            return
        if self._in_root_dir:
            self.path = Path(trainer.default_root_dir) / "signals.parquet"
        self._trackers(trainer)
        if trainer.is_global_zero:
            check_writable(self.path.parent)

    def _trackers(self, trainer: Any) -> list[tuple[Tracker, Path]]:
        """Each tracker and its file."""
        trackers = [c for c in trainer.callbacks if isinstance(c, Tracker)]
        if not trackers:
            raise ValueError("`SignalWriter` needs a SignalTracker in the same Trainer's callbacks: add one")
        trackers.sort(key=lambda tracker: isinstance(tracker, SweepTracker))  # stable: online ones first
        beside = [self.path.with_stem(f"{self.path.stem}_{tracker.name}") for tracker in trackers[1:]]
        return list(zip(trackers, [self.path, *beside], strict=True))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write at the end of fit."""
        self._write(trainer)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Write what was committed until the interruption, where no other process is needed for it."""
        self._write(trainer, gather=False)

    def _write(self, trainer: Any, gather: bool = True) -> None:
        for tracker, path in self._trackers(trainer):
            if tracker.signal_set is None or (tracker.sharded and not gather):
                continue
            if not (trainer.is_global_zero or tracker.sharded):
                continue
            clean = self._clean_given
            if clean is None:
                clean = getattr(trainer.datamodule, "clean_targets", None)
            if clean is not None and tracker.per_row(clean) is None:
                warnings.warn(
                    f"`clean_targets` are {len(clean)}, not one per training sample: the column "
                    f"`clean` of {path} is -1 throughout",
                    stacklevel=2,
                )
                clean = None
            table = signal_table(tracker, clean)
            if trainer.is_global_zero:
                write_atomically(table, path)


def check_writable(folder: Path) -> None:
    """Make a folder and try to write in it.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be made or written; the message has the way out.

    Example:
        >>> import tempfile
        >>> check_writable(Path(tempfile.mkdtemp()) / "new")
    """
    probe = folder / f".write-test-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise OSError(f"the run folder {str(folder)!r} cannot be written ({error.strerror}): choose another") from error
    probe.unlink()
