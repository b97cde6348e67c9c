"""A project's script, run as `python project.py ...` runs it, and its fit watched."""

from __future__ import annotations

import importlib
import random
import runpy
import sys
import warnings
from collections.abc import Sequence
from contextlib import chdir
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from tests.compat.kinds import Kind
from tests.compat.watching import Pass, watch

PROJECTS = Path(__file__).parent / "projects"


def project_files(name: str) -> dict[str, str]:
    """The text of each of a project's files."""
    return {f.name: f.read_text(encoding="utf-8") for f in sorted(PROJECTS.glob(f"{name}_project.*"))}


def write(files: dict[str, str], namespace: str, folder: Path) -> None:
    """Write a project's files, its Lightning imported by the name asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text.replace("pytorch_lightning", namespace), encoding="utf-8")


class Fit:
    """One run of a project.

    Args:
        name: The project.
        kind: What is known of it.
        files: Its files, as they are or changed.
        namespace: The name that Lightning is imported by.
        folder: The folder that holds it and its data.
        further: Arguments of the script beside the kind's own.

    Attributes:
        trainer: Its Trainer.
        module: Its module.
        passes: What the network was shown.
        weights: Of the module, at the end of each epoch's last step.
        given: The samples' labels.
        warnings: What was warned of.
    """

    def __init__(
        self, name: str, kind: Kind, files: dict[str, str], namespace: str, folder: Path, further: Sequence[str] = ()
    ) -> None:
        (folder / "data").mkdir(parents=True)
        self.folder, self.given = folder, kind.write(folder / "data")
        write(files, namespace, folder)
        self.trainer: Any = None
        self.module: Any = None
        self.passes: list[Pass] = []
        self.weights: list[dict[str, Any]] = []
        lightning = importlib.import_module(namespace)
        watched_fit = self._watched(lightning.Trainer.fit, self._recorder(lightning.Callback), kind)
        script = f"{name}_project.py"
        sys.modules.pop(f"{name}_project", None)  # of the last run, where a class_path has imported it
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)
        with (
            patch.object(lightning.Trainer, "fit", watched_fit),
            patch.object(sys, "argv", [script, *kind.arguments, *further]),
            patch.object(sys, "path", [str(folder), *sys.path]),
            chdir(folder),
            warnings.catch_warnings(record=True, action="always") as caught,
        ):
            runpy.run_path(script, run_name="__main__")
        self.warnings = {str(warning.message) for warning in caught}

    def _recorder(self, base: Any) -> Any:
        weights = self.weights

        class EndOfEpoch(base):  # type: ignore[misc]
            def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
                if trainer.is_last_batch:
                    weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})

        return EndOfEpoch()

    def _watched(self, fit: Any, recorder: Any, kind: Kind) -> Any:
        @wraps(fit)
        def watched_fit(trainer: Any, model: Any, *args: Any, **kwargs: Any) -> None:
            self.trainer, self.module = trainer, model
            trainer.callbacks.append(recorder)
            with watch(trainer, model, kind.watched) as self.passes:
                fit(trainer, model, *args, **kwargs)

        return watched_fit

    def callback(self, name: str) -> Any:
        """The one callback of a class."""
        (found,) = [c for c in self.trainer.callbacks if type(c).__name__ == name]
        return found
