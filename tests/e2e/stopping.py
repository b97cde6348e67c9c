"""What the resume tests put into a run by class path: a stop at an exact place, and a network that draws numbers.

A run's configuration names them, so that a resumed run has them too; `StopAt` does nothing unless its environment
variable is set.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from torch import Tensor, nn

from noisylearn._compat import Callback

VARIABLE = "NOISYLEARN_TEST_STOP"


class StopAt(Callback):  # type: ignore[misc]  # its base is made at import time
    """Does to its own process, at the beginning of a training step, what ``NOISYLEARN_TEST_STOP`` says.

    ``SIGINT:11`` sends that signal when 11 steps are done, ``SIGINT,SIGINT:11`` sends it twice, and ``epoch:1`` asks
    Lightning to stop after that epoch, as early stopping does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._what, _, when = (os.environ.get(VARIABLE) or "never:-1").partition(":")
        self._when = int(when)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._what not in ("epoch", "never") and trainer.global_step == self._when:
            for name in self._what.split(","):
                os.kill(os.getpid(), signal.Signals[name])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._what == "epoch" and trainer.current_epoch == self._when:
            trainer.should_stop = True


class Dropout(nn.Module):
    """A small network whose training draws random numbers and keeps running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2))
        self.classifier = nn.Linear(32, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.layers(inputs))
        return logits
