"""IndexedDataset: positions, replaced labels, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from noisylearn.data import Batch, IndexedDataset

X, Y = torch.arange(10).float().view(5, 2), torch.tensor([0, 1, 2, 1, 0])


def test_collates_to_a_batch() -> None:
    loader = DataLoader(IndexedDataset(TensorDataset(X, Y)), batch_size=3)
    batch = next(iter(loader))
    assert isinstance(batch, Batch)
    assert torch.equal(batch.input, X[:3])
    assert torch.equal(batch.target, Y[:3])
    assert batch.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda v: np.array(v, dtype=np.uint8)])
def test_targets_replace_the_labels(kind: Any) -> None:
    noisy = [2, 2, 0, 0, 1]
    dataset = IndexedDataset(TensorDataset(X, Y), targets=kind(noisy))
    assert [item.target for item in dataset] == noisy
    assert [item.index for item in dataset] == list(range(5))


def test_negative_positions_are_the_rows_they_mean() -> None:
    dataset = IndexedDataset(TensorDataset(X, Y), targets=[5, 6, 7, 8, 9])
    assert dataset[-1].index == 4
    assert dataset[-1].target == 9
    with pytest.raises(IndexError):
        dataset[5]


def test_index_survives_a_subset() -> None:
    subset = Subset(IndexedDataset(TensorDataset(X, Y)), [4, 2])
    assert [item.index for item in subset] == [4, 2]


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Endless(),), TypeError, "`dataset` must have a length, got Endless"),
        (([],), ValueError, "`dataset` must hold at least one sample"),
        (([(0, 1)], [0.0]), TypeError, "`targets` must be integer class ids, got dtype torch.float32"),
        (([(0, 1)], [0, 1]), ValueError, r"`targets` must have shape \(1,\), .* got \(2,\)"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        IndexedDataset(*arguments)


def test_items_without_a_label() -> None:
    with pytest.raises(TypeError, match=r"must be tuples \(input, label\), got Tensor at position 1"):
        IndexedDataset(list(X))[1]
