"""One run of a job's configuration, as a worker process makes it; naming it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def fit_job(config: Path, count_epoch: Callable[[], None]) -> None:
    """Make the run of a job's configuration file; what `noisylearn.bench.run_jobs` calls in its workers.

    Args:
        config: The configuration file.
        count_epoch: Called after each epoch.
    """
    from noisylearn._compat import Callback
    from noisylearn.cli.training import run_cli

    class CountEpochs(Callback):
        """Calls a function after each epoch."""

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """Count one."""
            count_epoch()

    run_cli(["fit", "--config", str(config), "--trainer.enable_progress_bar=false"], [CountEpochs()])
