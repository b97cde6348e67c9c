"""Which Lightning this process uses.

``lightning.pytorch`` and ``pytorch_lightning`` are two copies of one source with unrelated classes. Modules,
DataModules and the CLI live in one of them per process; this file alone decides which: the environment variable
``NOISYLEARN_LIGHTNING`` if set, else ``lightning.pytorch`` where the process has imported ``lightning`` and not
``pytorch_lightning``, else ``pytorch_lightning``. Callbacks work in both: `Callback` derives from the class of every
installed copy.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

NAMESPACES = ("pytorch_lightning", "lightning.pytorch")


def _installed(namespace: str) -> bool:
    """Whether ``namespace`` can be imported, without importing it (that costs seconds)."""
    package = namespace.split(".", maxsplit=1)[0]
    try:
        spec = find_spec(package)
    except ValueError:  # a package whose entry in sys.modules has no spec
        return package in sys.modules
    return spec is not None


def _choose() -> str:
    asked = os.environ.get("NOISYLEARN_LIGHTNING")
    if asked:
        if asked not in NAMESPACES:
            raise ImportError(f"`NOISYLEARN_LIGHTNING` must be one of {', '.join(NAMESPACES)}, got {asked!r}")
        return asked
    if "lightning" in sys.modules and "pytorch_lightning" not in sys.modules:
        return "lightning.pytorch"
    return "pytorch_lightning" if _installed("pytorch_lightning") else "lightning.pytorch"


NAMESPACE = _choose()
"""The import name of the Lightning copy in use."""

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
    from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
else:
    _pl = importlib.import_module(NAMESPACE)
    _callbacks = importlib.import_module(f"{NAMESPACE}.callbacks")
    LightningModule = _pl.LightningModule
    LightningDataModule = _pl.LightningDataModule
    Trainer = _pl.Trainer
    seed_everything = _pl.seed_everything
    ModelCheckpoint = _callbacks.ModelCheckpoint
    _others = [n for n in NAMESPACES if n != NAMESPACE and _installed(n)]
    _copies = [_callbacks, *(importlib.import_module(f"{n}.callbacks") for n in _others)]

    class Callback(*(c.Callback for c in _copies)):
        """A Lightning callback that the Trainer of either namespace accepts."""

    class Checkpoint(*(c.Checkpoint for c in _copies)):
        """A callback that writes checkpoints: Lightning runs these after all others."""


def lightning_module(name: str) -> Any:
    """Import a submodule of the Lightning copy in use.

    Args:
        name: The dotted name below the namespace, e.g. ``"loggers"``.

    Example:
        >>> lightning_module("loggers").CSVLogger.__name__
        'CSVLogger'
    """
    return importlib.import_module(f"{NAMESPACE}.{name}")


def steps_in_hand(trainer: Any) -> int:
    """Return the batches that the Trainer has taken and not trained on: one, while a step is made or after it failed.

    Args:
        trainer: A Trainer that fits.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress.current
    return int(progress.ready - progress.processed)


__all__ = [
    "NAMESPACE",
    "Callback",
    "Checkpoint",
    "LightningDataModule",
    "LightningModule",
    "ModelCheckpoint",
    "Trainer",
    "lightning_module",
    "seed_everything",
    "steps_in_hand",
]
