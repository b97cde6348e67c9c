"""`SignalTracker` in a project that was not written for it, under both names that Lightning is imported by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NAMESPACES = ("pytorch_lightning", "lightning.pytorch")
SETTINGS = (
    *(
        f"{workers} workers{setting}"
        for workers in (0, 2)
        for setting in (
            "",
            ", drop_last",
            ", limit_train_batches",
            ", accumulation",
            ", fit twice",
            ", nothing changed",
        )
    ),
    "persistent workers",
    "meter and file",
    "several trackers",
)


@cache
def outcome(namespace: str, folder: Path) -> dict[str, Any]:
    """Run all settings in one process: importing Lightning takes seconds."""
    text = (HERE / "plain_project.py").read_text(encoding="utf-8")
    assert text.count("import pytorch_lightning as pl\n") == 1
    file = folder / "project.py"
    file.write_text(text.replace("import pytorch_lightning as pl", f"import {namespace} as pl"), encoding="utf-8")
    paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    env.pop("NOISYLEARN_LIGHTNING", None)
    command = [sys.executable, str(HERE / "track_project.py"), str(file)]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module", params=NAMESPACES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.getbasetemp() / request.param
    folder.mkdir(exist_ok=True)
    found = outcome(request.param, folder)
    assert found["project"] == request.param
    return found


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_plain_project(project: dict[str, Any], setting: str) -> None:
    assert project["results"][setting] == "ok", project["results"][setting]


def test_every_setting_was_run(project: dict[str, Any]) -> None:
    assert tuple(project["results"]) == SETTINGS
