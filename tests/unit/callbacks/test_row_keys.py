"""Samples of a stream, known by a name: the table grows, and names are in every export and checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from noisylearn.callbacks import MemorizationMeter, SignalTracker, signal_table
from noisylearn.callbacks.row_keys import RowKeys
from tests.unit.callbacks.small import Module, N, X, Y, fit


class Stream(IterableDataset[Any]):
    """The samples in an order of its own each time, with a name and without a length."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.passes = names, 0

    def __iter__(self) -> Any:
        self.passes += 1
        for i in torch.randperm(N, generator=torch.Generator().manual_seed(self.passes)).tolist():
            yield {"x": X[i], "label": Y[i], "index": self.names[i]}


class Takes(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self.net(batch["x"] / N), batch["label"])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


NAMES = [f"shard-{i % 3}/{i}" for i in range(N)]


def by_name(tracker: SignalTracker, score: str) -> dict[str, float]:
    return dict(zip(tracker.keys.names, tracker.scores()[score].tolist(), strict=True))


def test_a_stream_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisylearn.callbacks.per_sample.FIRST_KEYS", 5)  # it has to grow, twice
    tracker, numbered = SignalTracker(), SignalTracker(num_samples=N, index=lambda b: number(b["index"]), name="n")
    fit([tracker, numbered], DataLoader(Stream(NAMES), 4), Takes(), epochs=3)
    assert tracker.num_rows == N
    assert by_name(tracker, "given") == {name: float(y) for name, y in zip(NAMES, Y, strict=True)}
    for score in ("aum", "learning_order", "variability"):
        assert by_name(tracker, score) == dict(zip(NAMES, numbered.scores()[score].tolist(), strict=True))
    table = signal_table(tracker)
    assert table["key"].to_pylist() == tracker.keys.names
    assert table["n_seen"].to_pylist() == [3] * N


def number(names: Any) -> Any:
    return torch.tensor([NAMES.index(name) for name in names])


def test_names_are_in_the_checkpoint(tmp_path: Path) -> None:
    whole, first, second = SignalTracker("Margin"), SignalTracker("Margin"), SignalTracker("Margin")
    fit([whole], DataLoader(Stream(NAMES), 4), Takes(), epochs=4)
    stream = Stream(NAMES)
    trainer = fit([first], DataLoader(stream, 4), Takes(), epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    fit([second], DataLoader(stream, 4), Takes(), epochs=4, resume=tmp_path / "two.ckpt")
    assert by_name(second, "aum") == by_name(whole, "aum")


def test_the_meter_cannot_compare_names_with_an_array_of_labels() -> None:
    with pytest.raises(ValueError, match="`clean_targets` are known by row number, and these samples have names"):
        fit([MemorizationMeter(Y)], DataLoader(Stream(NAMES), 4), Takes())


def test_several_processes_would_number_names_in_several_ways() -> None:
    tracker = SignalTracker("Margin")
    tracker.keys.rows_of(["a"])
    trainer: Any = type("Trainer", (), {"world_size": 2})
    with pytest.raises(ValueError, match="`index` must be integers on several processes, got strings on 2: each would"):
        tracker._prepare_rows(trainer, None, 3, torch.device("cpu"))


def test_keys_go_on_from_a_checkpoint() -> None:
    keys = RowKeys()
    keys.restore(["b", "a"])
    assert keys.rows_of(["a", "c", "b"]).tolist() == [1, 2, 0]
    assert keys.names == ["b", "a", "c"]
