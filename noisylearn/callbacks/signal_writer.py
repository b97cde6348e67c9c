"""`SignalWriter`: the tracked signals as one parquet file, one row per training sample."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from noisylearn._compat import Callback
from noisylearn.callbacks.signal_tracker import SignalTracker


def signal_table(tracker: SignalTracker, clean_targets: Any = None) -> pa.Table:
    """Return what a tracker knows as an Arrow table, one row per training sample.

    Args:
        tracker: A tracker after (or during) a fit.
        clean_targets: ``(N,)`` true labels where known, -1 elsewhere, of the rows or of the whole dataset of which they
            are a ``Subset``; becomes the column ``clean``.

    Returns:
        Columns ``index``, ``dataset_index`` (only where the loader's dataset is a chain of Subsets), ``given``,
        ``clean``, ``n_seen``, ``suggested`` (where tracked) and every score as float32, NaN where never seen. The
        schema's metadata has each score's meaning and direction under ``noisylearn``.

    Raises:
        RuntimeError: Nothing was tracked yet.
        ValueError: There is not one true label per row.
    """
    scores = {name: value.cpu() for name, value in tracker.scores().items()}
    assert tracker.signal_set is not None
    n_seen = tracker.signal_set.table.views()["n_seen"].cpu()
    size = len(n_seen)
    clean = tracker.per_row(torch.full((size,), -1) if clean_targets is None else clean_targets)
    if clean is None:
        raise ValueError(f"`clean_targets` must be one label per row ({size}), got {len(clean_targets)}")
    columns: dict[str, Any] = {"index": torch.arange(size).numpy()}
    if tracker.dataset_index is not None:
        columns["dataset_index"] = pa.array(tracker.dataset_index, pa.int64())
    columns["given"] = _class_ids(scores.pop("given"))
    columns["clean"] = clean.long().numpy()
    columns["n_seen"] = n_seen.long().numpy()
    if "suggested" in scores:
        columns["suggested"] = _class_ids(scores.pop("suggested"))
    columns |= {name: value.numpy() for name, value in scores.items()}
    info = {
        score.name: {
            "higher_is_noisier": score.higher_is_noisier,
            "signal": type(signal).__name__,
            "description": score.description,
        }
        for signal in tracker.signal_set.signals
        for score in signal.scores
        if score.name in scores
    }
    last_epoch = int(tracker.signal_set.table.views()["last_epoch"].max())
    view = {"view": "online", "model_mode": "train", "transform": "the training step's own"}
    metadata = {**view, "epochs": [0, last_epoch], "scores": info}
    return pa.table(columns).replace_schema_metadata({"noisylearn": json.dumps(metadata)})


def _class_ids(value: torch.Tensor) -> Any:
    """Floats with NaN for unseen, as int64 with -1."""
    return value.nan_to_num(-1.0).long().numpy()


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
    """Writes the signals of the run's `SignalTracker` to a parquet file at the end of fit and on interruption.

    Args:
        path: The file; by default ``signals.parquet`` in the Trainer's ``default_root_dir``.

    Example:
        >>> SignalWriter("runs/mine/signals.parquet").path.name
        'signals.parquet'
    """

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self.path = Path(path) if path is not None else Path("signals.parquet")
        self._in_root_dir = path is None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Find the tracker and try the folder now, not after hours of training.

        Raises:
            ValueError: The Trainer has no `SignalTracker`.
            OSError: The folder cannot be written.
        """
        if stage != "fit":
            return
        if self._in_root_dir:
            self.path = Path(trainer.default_root_dir) / "signals.parquet"
        self._tracker(trainer)
        if trainer.is_global_zero:
            check_writable(self.path.parent)

    def _tracker(self, trainer: Any) -> SignalTracker:
        trackers = [c for c in trainer.callbacks if isinstance(c, SignalTracker)]
        if not trackers:
            raise ValueError("`SignalWriter` needs a SignalTracker in the same Trainer's callbacks: add one")
        return trackers[0]

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write at the end of fit."""
        self._write(trainer)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Write what was committed until the interruption."""
        self._write(trainer)

    def _write(self, trainer: Any) -> None:
        tracker = self._tracker(trainer)
        if trainer.is_global_zero and tracker.signal_set is not None:
            clean = getattr(trainer.datamodule, "clean_targets", None)
            if clean is not None and tracker.per_row(clean) is None:
                warnings.warn(
                    f"the DataModule's `clean_targets` are {len(clean)}, not one per training sample: the column "
                    f"`clean` of {self.path} is -1 throughout",
                    stacklevel=2,
                )
                clean = None
            write_atomically(signal_table(tracker, clean), self.path)


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
