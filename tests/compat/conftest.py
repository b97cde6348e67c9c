"""The projects are run in processes of their own, never imported here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

collect_ignore = ["projects"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the whole test run: pytest-xdist's workers share it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "projects"
