"""Starts `track_project` in a process of its own and reads what it prints last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

HERE = Path(__file__).parent
NAMESPACES = ("pytorch_lightning", "lightning.pytorch")


def drive(namespace: str, folder: Path, python: str = sys.executable) -> dict[str, Any]:
    """Run every project under a Lightning in ``folder`` and return what `track_project` found, once in a test run.

    pytest-xdist's workers share what was found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "found.json"
    with FileLock(folder / "lock"):
        if not kept.exists():
            kept.write_text(_run(namespace, folder, python), encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _run(namespace: str, folder: Path, python: str) -> str:
    paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    env.pop("NOISYLEARN_LIGHTNING", None)
    command = [python, str(HERE / "track_project.py"), namespace, str(folder)]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def failures(results: dict[str, str]) -> str:
    """What went wrong in a project, setting by setting; empty if nothing did."""
    return "\n\n".join(f"{setting}: {told}" for setting, told in results.items() if told != "ok")
