"""`ExactResume`: random-number state in the checkpoint, so that a resumed run equals one that never stopped."""

from __future__ import annotations

from typing import Any

import torch

from noisylearn._compat import Callback
from noisylearn._rng import rng_state, set_rng_state
from noisylearn.callbacks.index_recorder import count_steps_in_hand


class ExactResume(Callback):
    """Saves every rank's random-number state in each checkpoint and restores it on resume.

    With a loader that continues where it stopped (`noisylearn.data.TensorLoader` does), a resumed run then has the
    same weights, optimizer, learning rates and tables, bit for bit, as one that was never interrupted. The logged mean
    of the interrupted epoch is not restored.

    Example:
        >>> ExactResume().state_key
        'ExactResume'
    """

    def __init__(self) -> None:
        super().__init__()
        self._saved: list[dict[str, Any]] | None = None
        self._after_last_step = False

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the states of all ranks; saving a checkpoint is a collective call in Lightning already."""
        states: list[dict[str, Any]] = [rng_state()]
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, states[0])
            states = gathered
        checkpoint["noisylearn_rng"] = states

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the states until fitting starts: building loaders and networks draws random numbers."""
        self._saved = checkpoint.get("noisylearn_rng")
        # Saved in an epoch's last step: Lightning would go on with the next epoch, and its end never come.
        batches = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
        self._after_last_step = bool(batches.get("is_last_batch", False))
        if self._after_last_step:
            for count in (batches["total"], batches["current"]):
                count["completed"] = count["processed"]

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Restore this rank's state."""
        if self._saved is not None and trainer.global_rank < len(self._saved):
            set_rng_state(self._saved[trainer.global_rank])

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Restore once more: making the iterators of torch DataLoaders has drawn a number."""
        count_steps_in_hand(trainer)
        self.on_fit_start(trainer, pl_module)
        self._saved = None
        every = trainer.check_val_every_n_epoch or 1
        validates = trainer.enable_validation and (trainer.current_epoch + 1) % every == 0
        self._after_last_step &= not validates
        if (
            self._after_last_step
        ):  # Lightning waits for a validation to end the epoch, and would train on until one comes
            trainer.fit_loop.epoch_loop.val_loop._has_run = True

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Let the next epoch train: an epoch without a step of its own leaves Lightning restarting."""
        if self._after_last_step:
            trainer.fit_loop.epoch_loop.restarting = self._after_last_step = False
