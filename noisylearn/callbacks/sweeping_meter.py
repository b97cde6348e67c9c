"""`SweepingMeter`: base of the meters that look at the network between epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import Callback
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.sweep_reader import SweepReader


class SweepingMeter(Callback):
    """Calls `measure` at the end of every so many epochs and logs what it returns.

    Args:
        every_n_epochs: How often.
        logits: As in `SweepTracker`.
        input: As in `SweepTracker`.
        target: As in `SweepTracker`.
        loader: Which of several training loaders is meant: its key in the dict or list of them.
        ignore_index: A label that means "none given".

    Raises:
        ValueError: ``every_n_epochs`` is below 1.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        logits: str | Callable[[Any, Any], Tensor] | None = None,
        input: Key | None = None,
        target: Key | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        self._every = check_positive_int("every_n_epochs", every_n_epochs)
        self._reader = SweepReader(logits, input, target, loader=loader, ignore_index=ignore_index)
        self._loader = loader

    def measure(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return the figures to log, by name; on several processes all take part and each has the same."""
        raise NotImplementedError(f"{type(self).__name__} must define measure(trainer, pl_module)")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Look for the network, where the module has no ``forward``."""
        self._reader.attach(pl_module)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """On the first step, see which submodule makes the logits."""
        self._reader.start_step()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note which submodule made the logits."""
        self._reader.end_step(batch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure and log."""
        if (trainer.current_epoch + 1) % self._every == 0:
            values = self.measure(trainer, pl_module)
            # Lightning wants to be told that processes agree (or are to be averaged), or it warns.
            pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Remove what is left of the search for the network."""
        self._reader.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Remove what is left of the search for the network."""
        self._reader.detach()


def held_out_loader(trainer: Any, argument: str) -> Any:
    """Return the first validation loader.

    Args:
        trainer: The Trainer of a running fit.
        argument: What to pass where there is none, for the message.

    Raises:
        ValueError: There is none.
    """
    if trainer.val_dataloaders is None and trainer.enable_validation:  # Lightning makes them for the first validation
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
        trainer.training = True
    loaders = trainer.val_dataloaders
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    found = loaders[0] if isinstance(loaders, list | tuple) and loaders else loaders
    if not found:
        raise ValueError(f"`{argument}` is needed: there is no validation loader to take held-out samples from")
    return found
