"""`SplitSweep`: how samples fare that the network does not train on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from noisylearn.callbacks import SweepTracker
from noisylearn.callbacks.logits_finder import Key
from noisylearn.memorization.dataset_view import DatasetView, TargetKey
from noisylearn.memorization.forgetting_time import ForgettingTime


class SplitSweep(SweepTracker):
    """A `SweepTracker` of `ForgettingTime` that goes through a view of its own instead of the training set.

    Args:
        view: The rows to look at, through the transform to look through; the table has a row for each of its dataset's
            samples.
        loader: A loader of them, whose batch size, workers and ``collate_fn`` are used; order and shuffling are not.
        every_n_epochs: As in `SweepTracker`; None looks once, at the end of the fit.
        logits: As in `SweepTracker`.
        input: As in `SweepTracker`.
        target: As in `SweepTracker`.

    Example:
        >>> view = DatasetView([("a", 0), ("b", 1)])
        >>> SplitSweep(view, DataLoader(view)).state_key
        "SplitSweep{'name': 'split'}"
    """

    def __init__(
        self,
        view: DatasetView,
        loader: Any,
        every_n_epochs: int | None = 1,
        logits: str | Callable[[Any, Any], Tensor] | None = None,
        input: Key | None = None,
        target: TargetKey | None = None,
    ) -> None:
        size = len(view.dataset)  # type: ignore[arg-type]  # a view's dataset has a length
        super().__init__([ForgettingTime()], every_n_epochs, logits, input, target, num_samples=size, name="split")
        self._view, self._view_loader = view, loader

    def _looked_at(self, trainer: Any) -> tuple[Any, Any, Tensor | None]:
        return self._view_loader, self._view if isinstance(self._view_loader, DataLoader) else None, self._view.rows
