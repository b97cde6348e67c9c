"""`signal_table`: what a tracker knows, as an Arrow table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch

if TYPE_CHECKING:
    from noisylearn.callbacks.per_sample import PerSampleCallback


def signal_table(tracker: PerSampleCallback, clean_targets: Any = None) -> pa.Table:
    """Return what a tracker knows as an Arrow table, one row per training sample.

    Args:
        tracker: A tracker after (or during) a fit.
        clean_targets: ``(N,)`` true labels where known, -1 elsewhere, of the rows or of the whole dataset of which they
            are a ``Subset``; becomes the column ``clean``.

    Returns:
        Columns ``index``, ``dataset_index`` (only where the loader's dataset is a chain of Subsets), ``key`` (only
        where samples have names), ``given``, ``clean``, ``n_seen``, ``suggested`` (where tracked) and every score as
        float32, NaN where never seen. The schema's metadata has, under ``noisylearn``, the view that was taken (online
        or sweep, the network's mode, the transform, first and last epoch observed) and each score's meaning and
        direction.

    Raises:
        RuntimeError: Nothing was tracked yet.
        ValueError: There is not one true label per row.
    """
    scores = {name: value.cpu() for name, value in tracker.scores().items()}
    assert tracker.signal_set is not None
    state = tracker.signal_set.table.gather()
    size = tracker.num_rows
    n_seen = state["n_seen"][:size].cpu()
    clean = tracker.per_row(torch.full((size,), -1) if clean_targets is None else clean_targets)
    if clean is None:
        raise ValueError(f"`clean_targets` must be one label per row ({size}), got {len(clean_targets)}")
    columns: dict[str, Any] = {"index": torch.arange(size).numpy()}
    if tracker.dataset_index is not None:
        columns["dataset_index"] = pa.array(tracker.dataset_index, pa.int64())
    if len(tracker.keys):
        columns["key"] = pa.array(tracker.keys.names, pa.string())
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
    metadata = {**tracker.view, "epochs": list(tracker.epochs), "scores": info}
    return pa.table(columns).replace_schema_metadata({"noisylearn": json.dumps(metadata)})


def _class_ids(value: torch.Tensor) -> Any:
    """Floats with NaN for unseen, as int64 with -1."""
    return value.nan_to_num(-1.0).long().numpy()
