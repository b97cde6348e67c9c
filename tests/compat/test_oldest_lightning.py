"""The same projects under the oldest Lightning that pyproject.toml admits, where there is one."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.compat.driving import NAMESPACES, drive, failures

PYTHON = os.environ.get("NOISYLEARN_OLDEST_LIGHTNING", "")
WHY = "NOISYLEARN_OLDEST_LIGHTNING is not set: name a Python that has noisylearn's requirements, Lightning at its floor"


def floor(pyproject: Path) -> str:
    """The oldest release of Lightning that is admitted."""
    dependencies = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    (lightning,) = [r for r in map(Requirement, dependencies) if r.name == "pytorch-lightning"]
    (oldest,) = [s.version for s in lightning.specifier if s.operator == ">="]
    return oldest


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason=WHY)
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_project_is_tracked_under_the_oldest_lightning(namespace: str, folder: Path, checkout: Path) -> None:
    found = drive(namespace, folder / f"oldest-{namespace}", PYTHON)
    assert found["lightning"] == floor(checkout / "pyproject.toml")
    failed = {name: told for name, results in found["results"].items() if (told := failures(results))}
    assert not failed, "\n\n".join(failed.values())
