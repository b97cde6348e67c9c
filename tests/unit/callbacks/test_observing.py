"""Commits, checkpoints and refits of the callbacks that keep a row per sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from noisylearn._compat import Callback, ModelCheckpoint
from noisylearn.callbacks import SignalTracker
from noisylearn.signals import Margin
from tests.unit.callbacks.small import C, Module, N, Y, dataset, fit, loader


class Commits(Callback):  # type: ignore[misc]  # its base is made at import time
    """Writes down, after each hook of the tracker, how many rows were committed."""

    def __init__(self, tracker: SignalTracker) -> None:
        super().__init__()
        self.tracker, self.seen = tracker, []

    def _look(self, when: str) -> None:
        assert self.tracker.signal_set is not None
        self.seen: list[tuple[str, int]]
        self.seen.append((when, int(self.tracker.signal_set.table.views()["n_seen"].sum())))

    def on_train_batch_end(self, *args: Any) -> None:
        self._look("batch")

    def on_validation_start(self, *args: Any) -> None:
        self._look("validation")

    def on_train_epoch_end(self, *args: Any) -> None:
        self._look("epoch")


def committed(**options: Any) -> list[tuple[str, int]]:
    tracker = SignalTracker(commit_every_n_steps=options.pop("every", None))
    commits = Commits(tracker)
    fit([tracker, commits], **options)
    return commits.seen


def test_rows_are_committed_with_the_last_batch_before_anything_is_saved() -> None:
    assert committed(limit_val_batches=0) == [("batch", 0), ("batch", 0), ("batch", 12), ("epoch", 12)]


def test_and_before_a_validation_in_mid_epoch() -> None:
    assert committed(val_check_interval=2) == [
        ("batch", 0), ("batch", 0), ("validation", 8), ("batch", 12), ("epoch", 12),
    ]  # fmt: skip


def test_and_every_so_many_steps_where_asked() -> None:
    assert committed(limit_val_batches=0, every=1) == [("batch", 4), ("batch", 8), ("batch", 12), ("epoch", 12)]
    with pytest.raises(ValueError, match="`commit_every_n_steps` must be at least 1, got 0"):
        SignalTracker(commit_every_n_steps=0)


def test_logits_that_are_not_numbers_are_left_out_and_told() -> None:
    class Breaks(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            logits = self.net(batch[0] / N)
            spoilt = torch.where(batch[0] == 5, torch.nan, logits.detach())
            return {"loss": torch.nn.functional.cross_entropy(logits, batch[1]), "logits": spoilt}

    tracker = SignalTracker()
    with pytest.warns(UserWarning, match="1 observations of epoch 0 had NaN or infinite values and were left out, 1"):
        fit([tracker], module=Breaks())
    assert tracker.scores()["aum"].isnan().tolist() == [i == 5 for i in range(N)]


def saver(folder: Path, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "{epoch}-{step}", save_top_k=-1, enable_version_counter=False, **options)


def test_a_checkpoint_holds_plain_values_and_brings_back_the_table(tmp_path: Path) -> None:
    tracker = SignalTracker()
    fit([tracker, saver(tmp_path)], epochs=2)
    (path,) = tmp_path.glob("epoch=1*.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    assert any(key.startswith("SignalTracker") for key in checkpoint["callbacks"])
    again = SignalTracker()
    with pytest.warns(UserWarning, match="is not empty"):
        fit([again, saver(tmp_path)], epochs=3, resume=path)
    assert again.signal_set is not None
    assert again.signal_set.table.views()["n_seen"].tolist() == [3] * N


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty:UserWarning")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning")
def test_without_a_loader_that_can_continue_the_unfinished_epoch_is_void(tmp_path: Path) -> None:
    def saving() -> ModelCheckpoint:
        return saver(tmp_path, every_n_train_steps=2)

    fit([SignalTracker(), saving()], epochs=2, limit_val_batches=0)
    (path,) = tmp_path.glob("*step=2.ckpt")
    again = SignalTracker()
    with pytest.warns(UserWarning, match="the 8 rows seen in the unfinished epoch are discarded. Use a loader with"):
        fit([again, saving()], epochs=2, limit_val_batches=0, resume=path)
    assert again.signal_set is not None
    n_seen = again.signal_set.table.views()["n_seen"]
    assert int(n_seen.max()) <= 2


def test_another_training_set_is_refused() -> None:
    tracker = SignalTracker()
    fit([tracker])
    with pytest.raises(ValueError, match="this SignalTracker has rows for 12 samples, but the training set has 9: use"):
        fit([tracker], loader(dataset(Y[:9])))


def test_other_signals_than_the_checkpoint_s_are_refused(tmp_path: Path) -> None:
    tracker = SignalTracker()
    fit([tracker])
    with pytest.raises(ValueError, match="columns"):
        SignalTracker([Margin()]).load_state_dict(tracker.state_dict())


def test_no_scores_before_a_fit() -> None:
    with pytest.raises(RuntimeError, match=r"no scores yet: run `Trainer\.fit` with this callback first"):
        SignalTracker().scores()
    assert SignalTracker().state_dict() == {}


def test_names_of_signals() -> None:
    assert [type(s).__name__ for s in SignalTracker(["Margin"]).build_signals(4, C).signals] == ["GivenLabel", "Margin"]
    with pytest.raises(ValueError, match=r"`signals` must be one of .*, got 'Margins'"):
        SignalTracker(["Margins"])


def test_the_label_is_suggested_where_there_are_few_classes() -> None:
    def names(num_classes: int) -> list[str]:
        return [type(s).__name__ for s in SignalTracker().build_signals(4, num_classes).signals]

    assert "MeanProbability" in names(200)
    assert "MeanProbability" not in names(201)


def test_the_next_fit_s_sanity_check_takes_nothing_from_an_interrupted_epoch() -> None:
    class Stops(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.global_step == 5:
                raise RuntimeError("on purpose")
            return super().training_step(batch, batch_idx)

    tracker = SignalTracker()
    with pytest.raises(RuntimeError, match="on purpose"):
        fit([tracker], module=Stops(), epochs=2)  # an epoch of three steps, and two of the next
    fit([tracker], num_sanity_val_steps=1)
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [3] * 8 + [2] * 4
