"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout: where ``recipes/``, ``README.md`` and ``pyproject.toml`` are."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; for tests marked ``data``, which skip where it is not named."""
    return Path(os.environ["NOISYLEARN_DATA"]).resolve()
