"""A view changes labels and nothing else: not the items' form, not the dataset."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate

from noisylearn.data import Batch, IndexedDataset
from noisylearn.memorization.dataset_view import DatasetView, check_dataset, label_key, read_labels, with_label


class Sample(NamedTuple):
    image: str
    label: int
    weight: float


FORMS: dict[str, tuple[Any, Any]] = {
    "tuple": (("a", 3), ("a", 7)),
    "longer tuple": (("a", 3, 0.5), ("a", 7, 0.5)),
    "list": (["a", 3], ["a", 7]),
    "named tuple": (Sample("a", 3, 0.5), Sample("a", 7, 0.5)),
    "dict": ({"image": "a", "labels": 3}, {"image": "a", "labels": 7}),
    "batch": (Batch("a", 3, 40), Batch("a", 7, 0)),
    "dict with an index": ({"x": "a", "y": 3, "index": 40}, {"x": "a", "y": 7, "index": 0}),
    "dict with a name": ({"x": "a", "y": 3, "index": "id-40"}, {"x": "a", "y": 7, "index": 0}),
    "numpy integer": (("a", np.int32(3)), ("a", np.int32(7))),
}


@pytest.mark.parametrize("form", FORMS)
def test_items_keep_their_form(form: str) -> None:
    item, expected = FORMS[form]
    kept = repr(item)
    found = DatasetView([item], targets=torch.tensor([7]))[0]
    assert found == expected
    assert type(found) is type(expected)
    parts = found.values() if isinstance(found, dict) else found
    wanted = expected.values() if isinstance(expected, dict) else expected
    assert [type(part) for part in parts] == [type(part) for part in wanted]
    assert repr(item) == kept


@pytest.mark.parametrize("label", [torch.tensor(3), torch.tensor([3], dtype=torch.uint8), np.array(3), np.array([3])])
def test_a_label_keeps_type_dtype_and_shape(label: Any) -> None:
    _, found = with_label(("a", label), 7)
    assert type(found) is type(label) or np.isscalar(found)
    assert (found.dtype, found.shape) == (label.dtype, label.shape)
    assert found.item() == 7
    assert label.item() == 3


def test_changed_and_unchanged_items_collate_together() -> None:
    data = [(torch.zeros(2), torch.tensor(i)) for i in range(3)]
    view = DatasetView(data, targets=torch.tensor([0, 9, 2]))
    assert default_collate([view[i] for i in range(3)])[1].tolist() == [0, 9, 2]


def test_rows_choose_and_number() -> None:
    storage = torch.arange(5) % 2
    data = IndexedDataset(TensorDataset(torch.arange(5), storage))
    view = DatasetView(data, rows=torch.tensor([4, 1]), targets=torch.tensor([6, 8]))
    batch = next(iter(DataLoader(view, batch_size=2)))
    assert [part.tolist() for part in batch] == [[4, 1], [6, 8], [4, 1]]
    assert storage.tolist() == [0, 1, 0, 1, 0]
    assert [item.target for item in DatasetView(data)] == [0, 1, 0, 1, 0]


def test_a_key_says_where_the_label_is() -> None:
    item = {"image": "a", "quality": 1, "digit": 3}
    assert with_label(item, 7, "digit") == {"image": "a", "quality": 1, "digit": 7}
    assert with_label((3, "a"), 7, 0) == (7, "a")
    assert with_label(("a", "b", 3), 7, -1) == ("a", "b", 7)
    assert label_key(("a", 3)) == 1


def test_labels_are_read_from_items() -> None:
    assert read_labels([("a", 2), ("b", torch.tensor(0)), ("c", np.int16(1))]).tolist() == [2, 0, 1]
    assert read_labels([{"digit": 2}], "digit").tolist() == [2]


@pytest.mark.parametrize(
    ("item", "key", "message"),
    [
        ({"image": 0}, None, "no label in an item of `dataset`, which is a dict with the keys 'image': pass `target=`"),
        ({"label": 0}, "digit", "no 'digit' in an item of `dataset`, which is a dict with the keys 'label'"),
        (("a",), None, "no label in an item of `dataset`, which is a tuple of 1 parts"),
        (("a", 1), "label", "no 'label' in an item of `dataset`, which is a tuple of 2 parts"),
        (torch.zeros(3), None, "no label in an item of `dataset`, which is a Tensor"),
    ],
)
def test_a_label_that_is_not_there(item: Any, key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_key(item, key)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from [("a", 0)]


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="`dataset` must be a map-style dataset, got Stream"):
        DatasetView(Stream())
    with pytest.raises(ValueError, match="`dataset` must hold at least one sample, got none"):
        DatasetView([])
    with pytest.raises(TypeError, match="`eval_dataset` must be a map-style dataset, got set"):
        check_dataset("eval_dataset", {1, 2})
    with pytest.raises(ValueError, match=r"`targets` must have shape \(2,\), one label per row, got \(3,\)"):
        DatasetView([("a", 0)] * 3, rows=torch.tensor([0, 2]), targets=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(IndexError, match=r"`rows` must be in \[0, 3\), got 3"):
        DatasetView([("a", 0)] * 3, rows=torch.tensor([3]))


def test_a_tensor_dataset_is_left_alone() -> None:
    labels = torch.zeros(4, dtype=torch.int64)
    data: TensorDataset = TensorDataset(torch.zeros(4, 2), labels)
    view = DatasetView(data, targets=torch.full((4,), 9))
    targets: list[Tensor] = [view[i][1] for i in range(4)]
    assert [int(t) for t in targets] == [9] * 4
    assert labels.tolist() == [0] * 4
