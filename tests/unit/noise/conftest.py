"""The clean labels of the CIFAR training sets, and the obvious loop that the sampler is held against."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Labels = npt.NDArray[np.int64]


@pytest.fixture(scope="session")
def cifar_n() -> Callable[[str], dict[str, Labels]]:
    """A reader of ``cifar10n`` or ``cifar100n``: every label vector of it, int64."""
    root = os.environ.get("NOISYLEARN_DATA")
    if not root:
        pytest.skip("NOISYLEARN_DATA is not set: it names the folder with cifar-n/*.npz")

    def read(name: str) -> dict[str, Labels]:
        path = Path(root) / "cifar-n" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"{path} is missing")
        with np.load(path) as arrays:
            return {key: arrays[key].astype(np.int64) for key in arrays.files}

    return read


@pytest.fixture(scope="session")
def slow_sample() -> Callable[[Labels, npt.NDArray[np.float64], int], Labels]:
    """The reference sampler: one multinomial draw per sample, the label is where the 1 stands."""

    def sample(labels: Labels, matrix: npt.NDArray[np.float64], seed: int) -> Labels:
        rng = np.random.RandomState(seed)
        drawn = []
        for label in labels:
            one_hot = rng.multinomial(1, matrix[label])
            drawn.append(next(j for j, hit in enumerate(one_hot) if hit == 1))
        return np.array(drawn)

    return sample
