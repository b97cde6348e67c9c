"""The ranks that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ddp.ranks import Ranks


@pytest.fixture(scope="session")
def ranks(pytestconfig: pytest.Config) -> Iterator[Ranks]:
    with Ranks(pytestconfig.getini("filterwarnings")) as pool:
        yield pool
