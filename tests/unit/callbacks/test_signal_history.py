"""A history equals a list kept by hand, across interruptions too, and its file is what the header says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from noisylearn._compat import Callback, ModelCheckpoint, Trainer
from noisylearn.callbacks import LabelCanaries, SignalTracker, SweepTracker
from noisylearn.callbacks.signal_history import SignalHistory, drop_epochs, read_history, write_epoch
from noisylearn.signals import Forgetting
from tests.unit.callbacks.small import C, Module, N, X, Y, fit, loader

NAN = float("nan")


class ByHand(Callback):  # type: ignore[misc]  # its base is made at import time
    """The loss of each sample at its presentation in each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[Tensor] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append(torch.full((N,), NAN))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        x, y = batch
        with torch.no_grad():
            losses = nn.functional.cross_entropy(pl_module.net(x / N), y, reduction="none")
        self.epochs[-1][x[:, 0].long()] = losses


def same(found: Any, expected: Any) -> None:
    """Equal as numbers of half precision, NaN to NaN."""
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected).astype(np.float16))


def test_no_other_signal_is_computed_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forgetting, "compute", lambda self, state: pytest.fail("computed, and not wanted"))
    tracker, path = SignalTracker(["Margin", "Forgetting"]), tmp_path / "aum.f16"
    fit([tracker, SignalHistory("aum", path=str(path))], epochs=2)
    assert read_history(path).shape == (2, N)
    assert sorted(tracker.scores(["aum"])) == ["aum", "given"]


def test_each_epoch_holds_what_each_sample_showed_in_it(tmp_path: Path) -> None:
    by_hand = ByHand()
    options: dict[str, Any] = {"limit_train_batches": 2, "limit_val_batches": 0, "default_root_dir": str(tmp_path)}
    fit([by_hand, SignalTracker(), SignalHistory()], loader(shuffle=True), epochs=4, **options)
    history = read_history(tmp_path / "history_signals_loss_last.f16")
    assert isinstance(history, np.memmap)
    assert history.shape == (4, N)
    assert np.isnan(history).sum(1).tolist() == [4] * 4  # two batches of three: others in each epoch
    np.testing.assert_allclose(history, torch.stack(by_hand.epochs), rtol=1e-3)
    header = json.loads((tmp_path / "history_signals_loss_last.json").read_text())
    assert header["num_samples"] == N
    assert (header["score"], header["tracker"], header["view"]) == ("loss_last", "signals", "online")
    assert (tmp_path / "history_signals_loss_last.f16").stat().st_size == 4 * N * 2


def test_any_score_as_it_stood_after_each_epoch(tmp_path: Path) -> None:
    class Scores(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.aum: list[Tensor] = []

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.aum.append(tracker.scores()["aum"].clone())

    tracker, scores = SignalTracker(), Scores()
    fit([tracker, scores, SignalHistory("aum", path=str(tmp_path / "aum.f16"))], epochs=3)
    same(read_history(tmp_path / "aum.f16"), torch.stack(scores.aum))


class Breaks(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 4 and batch_idx == 1:
            raise RuntimeError("broken")
        return super().training_step(batch, batch_idx)


NO_MATTER = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
"""The resumed run saves nothing, and Lightning misses what did."""


@NO_MATTER
def test_a_resumed_run_keeps_earlier_epochs_and_writes_later_ones_anew(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.f16", tmp_path / "history.f16"
    train = loader(shuffle=False)
    fit([SignalTracker(), SignalHistory(path=str(whole))], train, epochs=6)
    saving = ModelCheckpoint(tmp_path / "saved", filename="{epoch}", save_top_k=-1)
    with pytest.raises(RuntimeError, match="broken"):
        fit([SignalTracker(), SignalHistory(path=str(path)), saving], train, Breaks(), epochs=6)
    same(read_history(path), read_history(whole)[:4])
    with path.open("ab") as file:
        file.write(b"\0" * 9)  # the process was killed while it wrote
    same(read_history(path), read_history(whole)[:4])
    before = read_history(path)[:3].copy()
    write_epoch(path, 2, torch.full((N,), 7.0))  # stale: the checkpoint is older than this
    write_epoch(path, 3, torch.full((N,), 7.0))
    seen: list[int] = []

    class Looks(Callback):  # type: ignore[misc]
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            seen.append(len(read_history(path)))

    resume = tmp_path / "saved" / "epoch=1.ckpt"
    fit([SignalTracker(), SignalHistory(path=str(path)), Looks()], train, epochs=6, resume=str(resume))
    assert seen == [3, 4, 5, 6]  # the stale epochs were gone before the first was written
    same(read_history(path), read_history(whole))
    same(read_history(path)[:2], before[:2])


@NO_MATTER
def test_resumed_elsewhere_the_epochs_before_are_nan(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path / "saved", filename="{epoch}", save_top_k=-1)
    fit([SignalTracker(), saving], epochs=2)
    path = tmp_path / "new.f16"
    history = SignalHistory(path=str(path))
    fit([SignalTracker(), history], epochs=4, resume=str(tmp_path / "saved" / "epoch=1.ckpt"))
    assert np.isnan(read_history(path)).all(1).tolist() == [True, True, False, False]


@NO_MATTER
def test_the_same_callbacks_resumed_drop_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path / "saved", filename="{epoch}", save_top_k=-1)
    callbacks = [SignalTracker(), SignalHistory(path=str(tmp_path / "history.f16"))]
    fit([*callbacks, saving], epochs=5)
    before = read_history(tmp_path / "history.f16")[:2].copy()
    fit(callbacks, epochs=3, resume=str(tmp_path / "saved" / "epoch=1.ckpt"))
    assert read_history(tmp_path / "history.f16").shape == (3, N)
    same(read_history(tmp_path / "history.f16")[:2], before)


def test_another_run_begins_a_new_file_and_another_fit_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.f16"
    write_epoch(path, 8, torch.zeros(5))  # of another training set
    tracker, history = SignalTracker(), SignalHistory(path=str(path))
    fit([tracker, history], epochs=2)
    first = read_history(path).copy()
    assert first.shape == (2, N)
    fit([tracker, history], epochs=1)
    assert read_history(path).shape == (3, N)
    same(read_history(path)[:2], first)


@pytest.mark.parametrize(("every", "rows"), [(2, [False, True, False, True]), (3, [False, False, True])])
def test_epochs_without_a_sweep_are_nan(tmp_path: Path, every: int, rows: list[bool]) -> None:
    sweep = SweepTracker("LossStatistics", every_n_epochs=every, logits="net")
    path = tmp_path / "history.f16"
    write_epoch(path, 0, torch.zeros(N))  # of an earlier run
    fit([sweep, SignalHistory(tracker="sweep", path=str(path))], epochs=4)
    measured = ~np.isnan(read_history(path))
    assert measured.all(1).tolist() == measured.any(1).tolist() == rows


def test_a_sweep_at_the_end_of_the_fit_is_the_last_epoch(tmp_path: Path) -> None:
    sweep = SweepTracker("LossStatistics", every_n_epochs=None, logits="net")
    fit([sweep, SignalHistory(tracker="sweep", path=str(tmp_path / "history.f16"))], epochs=4)
    history = read_history(tmp_path / "history.f16")
    assert np.isnan(history[:-1]).all()
    same(history[-1], sweep.scores()["loss_last"])


def test_what_was_measured_on_a_canary_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.f16"
    canaries = LabelCanaries(C, fraction=0.2, seed=3)
    fit([canaries, SignalTracker(), SignalHistory(path=str(path))], epochs=2)
    assert len(canaries.rows) > 0
    assert np.flatnonzero(np.isnan(read_history(path)[1])).tolist() == canaries.rows.tolist()


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda trainer: False))
    fit([SignalTracker(), SignalHistory(path=str(tmp_path / "history.f16"))])
    assert list(tmp_path.iterdir()) == []


def test_nothing_observed_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.f16"
    fit([SignalTracker(epoch_range=(5, 6)), SignalHistory(path=str(path))], epochs=2)
    assert not path.exists()


def test_training_is_the_same(tmp_path: Path) -> None:
    def weights(callbacks: Sequence[Any]) -> Tensor:
        module = Module()
        torch.manual_seed(1)
        fit(callbacks, loader(shuffle=True), module, epochs=3)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    history = SignalHistory(path=str(tmp_path / "history.f16"))
    assert torch.equal(weights([SignalTracker()]), weights([SignalTracker(), history]))


class Named(Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return {"x": X[i], "y": Y[i], "index": f"sample {i}"}


class OfDicts(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self.net(batch["x"] / N), batch["y"])


def test_errors(tmp_path: Path) -> None:
    tracker, path = SignalTracker(["Margin"]), str(tmp_path / "history.f16")
    with pytest.raises(ValueError, match="`score` must be one of 'aum', got 'loss_last'"):
        fit([tracker, SignalHistory(path=path)])
    with pytest.raises(ValueError, match="`tracker` must be one of 'signals', got 'sweep'"):
        fit([tracker, SignalHistory("aum", tracker="sweep", path=path)])
    with pytest.raises(ValueError, match="`SignalHistory` must stand after the tracker 'signals' in the callbacks"):
        fit([SignalHistory("aum", path=path), tracker])
    with pytest.raises(ValueError, match="`SignalHistory` needs samples with row numbers, and these have names"):
        fit([tracker, SignalHistory("aum", path=path)], DataLoader(Named(), 4), OfDicts(), limit_val_batches=0)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"the run folder .*file.* cannot be written"):
        fit([SignalTracker(["Margin"]), SignalHistory("aum", path=str(tmp_path / "file" / "history.f16"))])


def test_errors_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "history.f16"
    with pytest.raises(FileNotFoundError):
        read_history(path)
    drop_epochs(path, 0)
    drop_epochs(path, 3)
    write_epoch(path, 0, torch.zeros(3))
    with pytest.raises(ValueError, match=r"`values` must have 3 samples, as .*, got 4: choose another file, or delete"):
        write_epoch(path, 1, torch.zeros(4))
    with path.open("ab") as file:
        file.write(b"\0\0\0")
    write_epoch(path, 2, torch.ones(3))  # what was cut off is no epoch
    same(read_history(path), [[0.0] * 3, [NAN] * 3, [1.0] * 3])
    path.write_bytes(b"\0\0\0")
    with pytest.raises(ValueError, match="has no complete epoch yet"):
        read_history(path)
