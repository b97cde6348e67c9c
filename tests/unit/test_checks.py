"""The shared argument checks: what they let through, and the exact line they answer with."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from noisylearn._checks import (
    check_choice,
    check_index,
    check_labels,
    check_positive_int,
    check_probability,
    nearest,
    unknown_name,
)


@pytest.mark.parametrize("value", [0, 1, 0.0, 0.4, 1.0, np.float32(0.5), np.int64(1), Fraction(1, 3)])
def test_probabilities(value: Any) -> None:
    result = check_probability("rate", value)
    assert type(result) is float
    assert result == float(value)


@pytest.mark.parametrize("value", [-0.1, 1.4, 40, float("nan"), float("inf"), -0.0000001])
def test_numbers_that_are_no_probability(value: float) -> None:
    with pytest.raises(ValueError, match="rate") as error:
        check_probability("rate", value, "pass the fraction of labels to corrupt, e.g. 0.4")
    assert str(error.value) == (
        f"`rate` must be in [0, 1], got {value!r}: pass the fraction of labels to corrupt, e.g. 0.4"
    )


@pytest.mark.parametrize("value", ["0.4", None, True, [0.4], 1j])
def test_things_that_are_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match="rate") as error:
        check_probability("rate", value, hint="")
    assert str(error.value) == f"`rate` must be a number in [0, 1], got {value!r}"


@pytest.mark.parametrize("value", [1, 128, np.int32(7), 10**12])
def test_positive_integers(value: Any) -> None:
    result = check_positive_int("batch_size", value)
    assert type(result) is int
    assert result == value


def test_integers_that_are_not_positive() -> None:
    with pytest.raises(
        ValueError, match=r"^`batch_size` must be at least 1, got 0: pass a whole number of at least 1$"
    ):
        check_positive_int("batch_size", 0)


@pytest.mark.parametrize(("value", "kind"), [(1.0, "float"), ("1", "str"), (True, "bool"), (None, "NoneType")])
def test_things_that_are_no_integer(value: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"^`batch_size` must be an integer, got {value!r} \({kind}\): pass a whole"):
        check_positive_int("batch_size", value)


def test_the_nearest_names_come_best_first_whatever_their_case() -> None:
    known = ["CrossEntropy", "CoTeaching", "ELR", "ELRPlus"]
    assert nearest("elr_plus", known) == ["ELRPlus", "ELR"]
    assert nearest("coteaching", known) == ["CoTeaching"]
    assert nearest("zzz", known) == []
    assert nearest("elr", known, count=1) == ["ELR"]


def test_an_unknown_name_gets_two_lines() -> None:
    assert unknown_name("method", "Methud", ["Method", "ELR"]) == (
        "no method `Methud`; did you mean `Method`?\nknown: ELR, Method"
    )
    assert unknown_name("method", "zzz", ["Method"]) == "no method `zzz`\nknown: Method"


def test_choices() -> None:
    assert check_choice("merge", "sum", ("sum", "last")) == "sum"
    with pytest.raises(
        ValueError, match=r"^`merge` must be one of 'sum', 'last', got 'lasst' \(did you mean 'last'\?\)$"
    ):
        check_choice("merge", "lasst", iter(("sum", "last")))
    with pytest.raises(ValueError, match=r"^`merge` must be one of 'sum', 'last', got 7$"):
        check_choice("merge", 7, ("sum", "last"))


@pytest.mark.parametrize(
    "labels",
    [[0, 2, 1], (0, 2, 1), np.array([0, 2, 1], np.uint8), torch.tensor([0, 2, 1]), torch.tensor([0, 2, 1]).int()],
)
def test_labels(labels: Any) -> None:
    checked = check_labels("labels", labels, 3)
    assert checked.dtype == np.int64
    assert checked.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("labels", "num_classes", "kind", "message"),
    [
        (
            [0, 3],
            3,
            ValueError,
            r"`labels` must be in \[0, 3\), got 3 at position 1: raise `num_classes` or map the labels",
        ),
        ([0, 1, -1], 3, ValueError, r"`labels` must be in \[0, 3\), got -1 at position 2"),
        ([0, 1, -1, 7], 3, ValueError, r"`labels` must be in \[0, 3\), got -1 at position 2"),
        ([], 3, ValueError, "`labels` must hold at least one label, got none"),
        ([[0, 1]], 3, ValueError, r"`labels` must be 1-D, got shape \(1, 2\): pass one class id per sample"),
        ([0.0, 1.0], 3, TypeError, "`labels` must be integer class ids, got dtype float64: cast them"),
        ([True, False], 3, TypeError, "`labels` must be integer class ids, got dtype bool"),
        ([0, 0], 1, ValueError, "`num_classes` must be at least 2, got 1: one class has no wrong label"),
        ([0, 0], 0, ValueError, "`num_classes` must be at least 1, got 0"),
        ([0, 0], 2.0, TypeError, r"`num_classes` must be an integer, got 2.0 \(float\)"),
    ],
)
def test_labels_that_are_refused(labels: Any, num_classes: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{message}"):
        check_labels("labels", labels, num_classes)


@pytest.mark.parametrize("index", [[3, 0, 3], np.array([3, 0, 3], np.int16), torch.tensor([3, 0, 3])])
def test_indices(index: Any) -> None:
    checked = check_index("index", index, 4)
    assert checked.dtype == np.int64
    assert checked.tolist() == [3, 0, 3]


def test_no_index_at_all() -> None:
    assert check_index("index", [], 4).tolist() == []


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        ([0, 4], IndexError, r"`index` must be in \[0, 4\), got 4: pass positions in the training set"),
        ([-1, 9], IndexError, r"`index` must be in \[0, 4\), got -1"),
        ([0.0], TypeError, "`index` must be integers, got dtype float64: index with the sample's position"),
        (["a"], TypeError, "`index` must be integers, got dtype <U1"),
        ([True], TypeError, "`index` must be integers, got dtype bool"),
    ],
)
def test_indices_that_are_refused(index: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{message}"):
        check_index("index", index, 4)
