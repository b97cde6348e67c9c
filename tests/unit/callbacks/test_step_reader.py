"""Index, given labels and logits of a step, wherever a project keeps them; and the error where it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from noisylearn.callbacks import SignalTracker
from noisylearn.callbacks.step_reader import StepReader
from noisylearn.data import Batch, IndexedDataset
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


class Records(Dataset[Any]):
    """Items made by a function of (x, y, i)."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return self.make(X[i], Y[i], i)


class DictModule(Module):
    """Takes a dict and returns one, as many do."""

    label = "label"

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        logits = self.net(batch["x"] / N)
        return {"loss": nn.functional.cross_entropy(logits, batch[self.label]), "logits": logits}


def given(tracker: SignalTracker) -> list[float]:
    return tracker.scores()["given"].tolist()


@pytest.mark.parametrize("key", ["target", "targets", "label", "labels", "y"])
def test_a_dict_batch(key: str) -> None:
    module = DictModule()
    module.label = key
    tracker = SignalTracker()
    fit([tracker], DataLoader(Records(lambda x, y, i: {"x": x, key: y, "index": i}), 4), module, limit_val_batches=0)
    assert given(tracker) == Y.tolist()


def test_a_batch_of_ours_and_a_shuffled_tuple() -> None:
    for data in (IndexedDataset(dataset()), dataset()):
        tracker = SignalTracker()
        fit([tracker], loader(data, shuffle=True))
        assert given(tracker) == Y.tolist()


@pytest.mark.parametrize(
    "keys",
    [
        {"index": 2, "target": 1},
        {"index": lambda batch: batch[2], "target": lambda batch: batch[1]},
        {"logits": "net", "index": 2},
        {"logits": lambda outputs: outputs["z"], "index": 2},
        {"logits": "z", "index": 2},
    ],
)
def test_keys_that_are_given(keys: dict[str, Any]) -> None:
    class Named(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            z = self.net(batch[0] / N)
            return {"loss": nn.functional.cross_entropy(z, batch[1]), "z": z}

    tracker = SignalTracker(**keys)
    rows = (torch.arange(N) * 5) % N  # the batch's own number, not the position
    fit([tracker], DataLoader(Records(lambda x, y, i: (x, y, rows[i])), 4), Named())
    assert given(tracker) == Y[rows.argsort()].tolist()


def test_the_third_part_of_a_bare_tuple_is_not_taken_for_the_index() -> None:
    tracker = SignalTracker()
    fit([tracker], DataLoader(Records(lambda x, y, i: (x, y, 0)), 4))  # a weight, say
    assert given(tracker) == Y.tolist()


@pytest.mark.filterwarnings("ignore:.*training_step. returned .None.:UserWarning")  # told once a process
def test_a_step_that_is_skipped_is_not_seen() -> None:
    class Skips(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None if batch_idx == 1 else super().training_step(batch, batch_idx)

    tracker = SignalTracker()
    fit([tracker], module=Skips())
    assert tracker.scores()["aum"].isnan().tolist() == [False] * 4 + [True] * 4 + [False] * 4


def half(batch: Any) -> Any:
    return nn.functional.one_hot(batch[1], C) / 1.0


@pytest.mark.parametrize(
    ("keys", "make", "message"),
    [
        ({}, lambda x, y, i: {"x": x, "klass": y}, r"`target`: no labels found in the batch, which is dict {x: tensor"),
        ({"target": "gt"}, lambda x, y, i: {"x": x, "y": y}, r"`target='gt'` is not in the batch, which is dict {x: t"),
        ({"index": 5}, lambda x, y, i: (x, y), r"`index=5` is not in the batch, which is list \[tensor \(4, 1\) floa"),
        ({"index": lambda b: 3}, lambda x, y, i: (x, y), r"`index` must be a tensor, got int"),
        (
            {"target": half},
            lambda x, y, i: (x, y),
            r"`target` must be \(B,\) class ids, got tensor \(4, 3\) float32",
        ),
        (
            {"target": lambda b: b[1] + 1},
            lambda x, y, i: (x, y),
            r"C >= 4\), as the largest label is 3; .*net: \(4, 3\)",
        ),
        (
            {"target": lambda b: b[1] + 1, "logits": "net"},
            lambda x, y, i: (x, y),
            r"`target` must be in \[0, 3\).* got 3: the logits or",
        ),
        ({"target": lambda b: b[1] - 1}, lambda x, y, i: (x, y), r"`target` must be in \[0, 3\).* got -1"),
        ({"logits": "nett"}, lambda x, y, i: (x, y), r"`logits`: 'nett' is neither a key of training_step's output"),
        ({"logits": lambda o: 0}, lambda x, y, i: (x, y), r"`logits` must be a tensor, got int"),
        ({"num_samples": 5}, lambda x, y, i: (x, y), r"`index` must be in \[0, 5\), got 7"),
    ],
)
def test_what_is_not_found_lists_what_was(keys: dict[str, Any], make: Any, message: str) -> None:
    class Either(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = list(batch.values())[:2] if isinstance(batch, dict) else batch[:2]
            return nn.functional.cross_entropy(self.net(x / N), y)

    with pytest.raises((ValueError, IndexError), match=message):
        fit([SignalTracker(**keys)], DataLoader(Records(make), 4), Either(), limit_val_batches=0)


def test_the_batch_itself_says_which_rows() -> None:
    reader = StepReader()
    rows = torch.tensor([4, 2])
    assert reader.index(Batch(X[:2], Y[:2], rows), 2) is not None
    assert reader.index(Batch(X[:2], Y[:2], rows), 2).tolist() == [4, 2]
    assert not reader.recorded
