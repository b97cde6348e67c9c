"""`Job`: one run to be made, and whether it is made already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


def holds_run(folder: Path) -> bool:
    """Return whether a folder has what a training run has made: a result, metrics, or checkpoints.

    Args:
        folder: The folder, whether it exists or not.

    Example:
        >>> holds_run(Path("runs/nothing-is-here"))
        False
    """
    made = any((folder / name).exists() for name in ("result.json", "metrics.csv"))
    return made or any((folder / "checkpoints").glob("*"))


@dataclass(frozen=True)
class Job:
    """A training run as ``noisylearn fit`` would make it.

    Its folder is its key: a job whose folder holds the finished result of the same configuration is done.

    Args:
        run: The run folder.
        config: The configuration of ``noisylearn fit`` (keys ``model``, ``data``, ``trainer``, ``seed_everything``,
            ``cell``, ``reduced``).

    Example:
        >>> job = Job(Path("runs/demo/elr-0"), {"model": {"class_path": "ELR"}, "seed_everything": 0})
        >>> job.name, job.done
        ('elr-0', False)
    """

    run: Path
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The run folder's own name."""
        return self.run.name

    @property
    def key(self) -> str:
        """Hash of the configuration."""
        return hashlib.sha1(json.dumps(self.config, sort_keys=True).encode()).hexdigest()

    @property
    def done(self) -> bool:
        """Whether the folder has the finished result of this configuration."""
        return _field(self.run / "result.json", "completed") is True and self._is_mine()

    def check_folder(self) -> None:
        """Refuse a folder that holds the run of another configuration: it would be lost.

        Raises:
            FileExistsError: It does.
        """
        if holds_run(self.run) and not self._is_mine():
            way_out = "choose another `--out`, or delete it to have it made anew"
            raise FileExistsError(f"the folder {str(self.run)!r} holds a run with other settings: {way_out}")

    def _is_mine(self) -> bool:
        return bool(_field(self.run / "job.json", "key") == self.key)

    def write(self) -> Path:
        """Write the configuration into the folder and return its file; what an unfinished run has saved stays.

        Raises:
            FileExistsError: The folder holds the run of another configuration.
        """
        self.check_folder()
        self.run.mkdir(parents=True, exist_ok=True)
        (self.run / "result.json").unlink(missing_ok=True)
        if not self._is_mine():
            (self.run / "job.json").write_text(json.dumps({"key": self.key}) + "\n", encoding="utf-8")
        file = self.run / "job.yaml"
        file.write_text(yaml.safe_dump({**self.config, "run": str(self.run)}, sort_keys=False), encoding="utf-8")
        return file


def _field(file: Path, name: str) -> Any:
    """One entry of a JSON file; None where it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError):
        return None
