"""`GracefulStop`: the first Ctrl-C finishes the step, saves and stops."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from noisylearn._compat import Checkpoint

STDERR = 2
ASK_EVERY = 10
"""Steps between two questions to the other processes."""
ASKED = b"\nstopping: the step is finished and a checkpoint saved (once more to abort)\n"


class Stopped(KeyboardInterrupt):
    """Raised by `GracefulStop` after it has saved; Lightning winds the run down as after any Ctrl-C."""


class GracefulStop(Checkpoint):
    """Turns the first Ctrl-C (or SIGTERM) into a saved, resumable stop at the end of the step; the second aborts.

    It derives from Lightning's ``Checkpoint``, so that it runs after every other callback has seen the step.

    Args:
        dirpath: Folder of the checkpoint that is written, named ``last.ckpt``; by default ``checkpoints`` in the
            Trainer's ``default_root_dir``.

    Example:
        >>> GracefulStop("runs/mine/checkpoints").path.name
        'last.ckpt'
    """

    def __init__(self, dirpath: str | None = None) -> None:
        super().__init__()
        self._in_root_dir = dirpath is None
        self.path = Path(dirpath or "checkpoints") / "last.ckpt"
        self._asked = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take over the signals, in the main thread only: Python allows no other."""
        self._asked = False
        if self._in_root_dir:
            self.path = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        # Not `print`: the signal may have come in the middle of one, and its buffer cannot be entered twice.
        os.write(STDERR, ASKED)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop if asked; after an epoch's last step not yet: its validation is still to come, and its metrics."""
        # On several processes asking is a collective call, which a step should not wait for each time.
        if not trainer.is_last_batch and (trainer.world_size == 1 or batch_idx % ASK_EVERY == 0):
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop if asked in the epoch's last step or in its validation."""
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: Any) -> None:
        """Save and stop; with several processes, if any of them was asked."""
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            trainer.save_checkpoint(self.path, weights_only=False)
            raise Stopped(str(self.path))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Give the signals back."""
        self._release()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Give the signals back; Lightning, which ignores Ctrl-C from here on, would never."""
        self._release()

    def _release(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
