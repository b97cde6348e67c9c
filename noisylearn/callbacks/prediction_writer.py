"""`PredictionWriter`: the class probabilities of every sample as one parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from noisylearn._compat import Callback
from noisylearn.callbacks.signal_writer import check_writable, write_atomically


def prediction_table(index: Tensor, given: Tensor, probabilities: Tensor) -> pa.Table:
    """Return predictions as an Arrow table in the order of the samples, each sample once.

    Args:
        index: ``(N,)`` int64 row numbers in any order; repeats (a sampler's padding) are dropped.
        given: ``(N,)`` int64 given labels.
        probabilities: ``(N, C)`` class probabilities.

    Returns:
        Columns ``index``, ``given``, ``predicted`` and ``probabilities`` (a list of C float32).

    Example:
        >>> probabilities = torch.tensor([[0.25, 0.75], [0.75, 0.25]])
        >>> table = prediction_table(torch.tensor([7, 2]), torch.tensor([1, 0]), probabilities)
        >>> table["index"].to_pylist(), table["predicted"].to_pylist()
        ([2, 7], [0, 1])
    """
    order = index.argsort(stable=True)
    ordered = index[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    rows = order[first]
    values = probabilities[rows].float()
    flat = pa.array(values.flatten().numpy())
    return pa.table(
        {
            "index": index[rows].numpy(),
            "given": given[rows].numpy(),
            "predicted": values.argmax(1).numpy(),
            "probabilities": pa.FixedSizeListArray.from_arrays(flat, values.shape[1]),
        }
    )


class PredictionWriter(Callback):
    """Writes what ``Trainer.predict`` finds to a parquet file, one row per sample; right on several processes.

    Batches are `noisylearn.data.Batch`es and ``predict_step`` returns ``(B, C)`` probabilities, as `NoisyLearner` does.

    Args:
        path: The file; by default ``predictions.parquet`` in the Trainer's ``default_root_dir``.

    Example:
        >>> PredictionWriter("runs/mine/predictions.parquet").path.name
        'predictions.parquet'
    """

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self.path = Path(path) if path is not None else Path("predictions.parquet")
        self._in_root_dir = path is None
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Try the folder now, not after the work.

        Raises:
            OSError: The folder cannot be written.
        """
        self._parts = []
        if self._in_root_dir:
            self.path = Path(trainer.default_root_dir) / "predictions.parquet"
        if trainer.is_global_zero:
            check_writable(self.path.parent)

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the batch's rows on the CPU."""
        self._parts.append((batch.index.cpu(), batch.target.cpu(), outputs.cpu()))

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Put the parts of all processes together and write."""
        mine = [torch.cat(part) for part in zip(*self._parts, strict=True)]
        parts: list[Any] = [mine]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, mine)
        if trainer.is_global_zero:
            index, given, probabilities = (torch.cat(column) for column in zip(*parts, strict=True))
            write_atomically(prediction_table(index, given, probabilities), self.path)
        self._parts = []
