"""The signals as a parquet file: its columns, its meaning, and when it is written."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import Subset

from noisylearn.callbacks import SignalTracker, SignalWriter, SweepTracker, signal_table
from noisylearn.callbacks.signal_writer import check_writable, write_atomically
from noisylearn.data import IndexedDataset
from tests.unit.callbacks.small import Module, N, Y, dataset, fit, loader


def test_one_row_per_sample_with_what_is_known(tmp_path: Path) -> None:
    tracker = SignalTracker()
    file = tmp_path / "new" / "signals.parquet"
    fit([tracker, SignalWriter(str(file))], loader(shuffle=True), limit_train_batches=2, limit_val_batches=0)
    table = pq.read_table(file)
    seen = tracker.signal_set.table.views()["n_seen"]  # type: ignore[union-attr]
    assert int(seen.sum()) == 8
    assert table["index"].to_pylist() == list(range(N))
    assert table["n_seen"].to_pylist() == seen.tolist()
    assert table["given"].to_pylist() == torch.where(seen > 0, Y, -1).tolist()
    assert table["clean"].to_pylist() == [-1] * N
    scores = tracker.scores()
    for name in scores.keys() - {"given", "suggested"}:
        found = torch.tensor(table[name].to_pylist())
        assert torch.equal(found.nan_to_num(-9), scores[name].nan_to_num(-9)), name
        assert bool(found[seen == 0].isnan().all())


def test_what_each_score_means_stands_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "signals.parquet"
    fit([SignalTracker(["Margin", "Forgetting"]), SignalWriter(str(file))], epochs=3)
    about = json.loads(pq.read_schema(file).metadata[b"noisylearn"])
    assert (about["view"], about["model_mode"], about["epochs"]) == ("online", "train", [0, 2])
    assert about["scores"]["aum"]["higher_is_noisier"] is False
    assert about["scores"]["forgetting_events"]["higher_is_noisier"] is None
    assert about["scores"]["learning_order"]["signal"] == "Forgetting"


def test_positions_of_a_subset_and_true_labels_of_the_whole() -> None:
    tracker = SignalTracker(["Margin"])
    fit([tracker], loader(Subset(dataset(), [8, 3, 5])))
    clean = torch.arange(N)
    table = signal_table(tracker, clean)
    assert table["dataset_index"].to_pylist() == table["clean"].to_pylist() == [8, 3, 5]
    with pytest.raises(ValueError, match=r"`clean_targets` must be one label per row \(3\), got 2"):
        signal_table(tracker, clean[:2])


def test_a_subset_of_batches_that_carry_the_index_keeps_the_dataset_s_rows() -> None:
    tracker = SignalTracker(["Margin"])
    fit([tracker], loader(Subset(IndexedDataset(dataset()), [8, 3, 5])))
    table = signal_table(tracker)
    assert table.num_rows == N
    assert [i for i, n in enumerate(table["n_seen"].to_pylist()) if n] == [3, 5, 8]


def test_an_interrupted_fit_leaves_what_was_committed(tmp_path: Path) -> None:
    class Breaks(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.current_epoch == 2:
                raise RuntimeError("broken")
            return super().training_step(batch, batch_idx)

    file = tmp_path / "signals.parquet"
    with pytest.raises(RuntimeError, match="broken"):
        fit([SignalTracker(), SignalWriter(str(file))], module=Breaks(), epochs=5)
    assert pq.read_table(file)["n_seen"].to_pylist() == [2] * N


def test_a_tracker_is_needed() -> None:
    with pytest.raises(ValueError, match="`SignalWriter` needs a SignalTracker in the same Trainer's callbacks"):
        fit([SignalWriter("signals.parquet")])


def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    tracker = SignalTracker()
    with pytest.raises(OSError, match=r"the run folder .*file.* cannot be written \(.*\): choose another"):
        fit([tracker, SignalWriter(str(tmp_path / "file" / "signals.parquet"))])
    assert tracker.signal_set is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SignalTracker(["Margin"])
    file = tmp_path / "signals.parquet"
    fit([tracker, SignalWriter(str(file))])
    before = file.read_bytes()

    def half(table: Any, where: Any) -> None:
        where.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(signal_table(tracker), file)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["signals.parquet"]


def test_trying_a_folder_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_each_tracker_has_a_file_and_says_how_it_looked(tmp_path: Path) -> None:
    early = SignalTracker(["Margin"], epoch_range=(1, 1), name="early")
    sweep = SweepTracker(["EL2N"], logits="net", transform="centre crop")
    writer = SignalWriter(str(tmp_path / "signals.parquet"))
    fit([sweep, SignalTracker(["Margin"]), early, writer], epochs=3)
    files = sorted(f.name for f in tmp_path.iterdir())
    assert files == ["signals.parquet", "signals_early.parquet", "signals_sweep.parquet"]
    about = [json.loads(pq.read_schema(tmp_path / name).metadata[b"noisylearn"]) for name in files]
    assert [a["epochs"] for a in about] == [[0, 2], [1, 1], [0, 2]]
    assert [a["view"] for a in about] == ["online", "online", "sweep"]
    assert [a["model_mode"] for a in about] == ["train", "train", "eval"]
    assert [a["transform"] for a in about] == ["the training step's own", "the training step's own", "centre crop"]


def test_the_epochs_are_those_observed(tmp_path: Path) -> None:
    """Not those of the fit: a tracker may be new in a resumed run, and a sweep may come late."""
    fit([], epochs=2).save_checkpoint(tmp_path / "two.ckpt")
    tracker, sweep = SignalTracker("Margin"), SweepTracker("Margin", every_n_epochs=2, logits="net")
    with pytest.warns(UserWarning, match="is not in the checkpoint"):
        trainer = fit([tracker, sweep], epochs=5, resume=tmp_path / "two.ckpt")
    trainer.save_checkpoint(tmp_path / "five.ckpt")
    again = SignalTracker("Margin")
    fit([again, SweepTracker("Margin", logits="net")], epochs=6, resume=tmp_path / "five.ckpt")

    def epochs(one: Any) -> Any:
        return json.loads(signal_table(one).schema.metadata[b"noisylearn"])["epochs"]

    assert [epochs(one) for one in (tracker, sweep, again)] == [[2, 4], [3, 3], [2, 5]]


def test_to_frame_is_the_same_table() -> None:
    tracker = SignalTracker(["Margin"])
    fit([tracker])
    frame = tracker.to_frame(Y)
    table = frame if find_spec("pandas") is None else pa.Table.from_pandas(frame)
    assert table.select(signal_table(tracker).column_names).to_pydict() == signal_table(tracker, Y).to_pydict()
