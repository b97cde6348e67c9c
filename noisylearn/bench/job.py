"""`Job`: one run to be made, and whether it is made already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


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
        mark = self.run / "job.json"
        if not (mark.is_file() and (self.run / "result.json").is_file()):
            return False
        finished = json.loads((self.run / "result.json").read_text(encoding="utf-8")).get("completed", False)
        return bool(finished) and json.loads(mark.read_text(encoding="utf-8")).get("key") == self.key

    def write(self) -> Path:
        """Write the configuration into the folder and return its file."""
        self.run.mkdir(parents=True, exist_ok=True)
        (self.run / "result.json").unlink(missing_ok=True)
        (self.run / "job.json").write_text(json.dumps({"key": self.key}) + "\n", encoding="utf-8")
        file = self.run / "job.yaml"
        file.write_text(yaml.safe_dump({**self.config, "run": str(self.run)}, sort_keys=False), encoding="utf-8")
        return file
