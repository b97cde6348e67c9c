from __future__ import annotations

import dataclasses
import hashlib
import struct

import numpy as np
import pytest

from noisylearn.noise import NoisyLabels


def test_properties() -> None:
    record = NoisyLabels([0, 2, 2, 1], clean=[0, 1, 2, 0], generator="g", rate=0.3, seed=5)
    assert record.labels.dtype == record.clean.dtype == np.int64
    assert record.flipped.tolist() == [False, True, False, True]
    assert record.realised_rate == 0.5
    assert record.sha1 == hashlib.sha1(struct.pack("<4q", 0, 2, 2, 1)).hexdigest()


def test_owns_its_arrays() -> None:
    labels = np.array([0, 1])
    record = NoisyLabels(labels, clean=labels, generator="none", rate=0.0, seed=0)
    labels[0] = 7
    record.labels[1] = 5
    assert record.clean.tolist() == [0, 1]
    assert labels.tolist() == [7, 1]


def test_is_frozen() -> None:
    record = NoisyLabels([0], clean=[0], generator="none", rate=0.0, seed=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.rate = 0.5  # type: ignore[misc]  # that this is refused is the test


@pytest.mark.parametrize(("labels", "clean"), [([0, 1], [0]), ([[0]], [[0]])])
def test_shapes(labels: list[int], clean: list[int]) -> None:
    with pytest.raises(ValueError, match=r"`labels` and `clean` must be 1-D and of one length, got shapes"):
        NoisyLabels(labels, clean=clean, generator="none", rate=0.0, seed=0)
