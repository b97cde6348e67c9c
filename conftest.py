"""What all tests share, the doctests of the package too: when the markers `data` and `gpu` skip."""

from __future__ import annotations

import os

import pytest

NO_DATA = "NOISYLEARN_DATA is not set: point it at the folder of the real data sets"
NO_GPU = "no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs data or a device that is not there."""
    if not os.environ.get("NOISYLEARN_DATA"):
        _skip(items, "data", NO_DATA)
    if any(item.get_closest_marker("gpu") for item in items):
        import torch  # only where a GPU test is collected: importing it takes seconds

        if not torch.cuda.is_available():
            _skip(items, "gpu", NO_GPU)


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))
