"""One run of a job's configuration, as a worker process makes it; naming it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from noisylearn.cli.checkpoint import check_checkpoint
from noisylearn.cli.run_folder import LAST


def fit_job(config: Path, count_epoch: Callable[[], None]) -> None:
    """Make the run of a job's configuration file; what `noisylearn.bench.run_jobs` calls in its workers.

    A run that was interrupted goes on from its last checkpoint.

    Args:
        config: The configuration file, in the run folder (see `noisylearn.bench.Job.write`).
        count_epoch: Called after each epoch, and once for each that is not made again.

    Raises:
        ValueError: The checkpoint is damaged.
    """
    from noisylearn._compat import Callback
    from noisylearn.cli.training import run_cli

    class CountEpochs(Callback):
        """Calls a function after each epoch."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Count what a checkpoint has."""
            for _ in range(trainer.current_epoch):
                count_epoch()

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """Count one."""
            count_epoch()

    args = ["fit", "--config", str(config), "--trainer.enable_progress_bar=false"]
    last = config.parent / LAST
    if last.is_file():
        check_checkpoint(str(last))
        run_cli([*args, "--ckpt_path", str(last)], [CountEpochs()])
    # A checkpoint of the last epoch has nothing to go on with; if its result is missing, only a new run makes it.
    if not (config.parent / "result.json").is_file():
        run_cli(args, [CountEpochs()])
