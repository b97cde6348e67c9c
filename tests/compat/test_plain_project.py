"""`SignalTracker` in a project that returns a bare loss: loaders, Trainers, fits and callbacks of many kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.driving import NAMESPACES, drive
from tests.compat.plain_settings import cases


@pytest.mark.parametrize("setting", cases())
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_plain_project(namespace: str, setting: str, folder: Path) -> None:
    told = drive(namespace, folder / namespace)["results"]["plain"][setting]
    assert told == "ok", told
