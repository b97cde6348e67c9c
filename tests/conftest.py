"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changed; fresh ones are searched for with
# `make test ARGS="--hypothesis-profile=search"`.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout: where ``recipes/``, ``README.md`` and ``pyproject.toml`` are."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; for tests marked ``data``, which skip where it is not named."""
    return Path(os.environ["NOISYLEARN_DATA"]).resolve()
