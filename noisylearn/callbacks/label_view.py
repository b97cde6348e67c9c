"""`LabelView`: other labels in the training batches, the dataset and the given labels untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from noisylearn.callbacks.shadow import Shadow
from noisylearn.callbacks.step_reader import StepReader, describe, given_label, replaced

Edit = Callable[[Tensor, Tensor], Tensor]
"""From row numbers and labels, ``(B,)`` each, to the labels to train on."""


class LabelView:
    """Shows other labels to ``training_step``, in a batch of its own; who measures reads the ones that were given.

    It stands before the strategy's public ``batch_to_device``, which Lightning calls for every batch, in training only.
    The batch is rebuilt around a new tensor of labels: what the loader made stays as it was, storage included.

    Args:
        edit: From row numbers and labels to the labels to train on.
        reader: Where batches have the row numbers and labels; a label's place must be a key, not a function.

    Example:
        >>> LabelView(lambda index, targets: targets, StepReader()).detach()  # nothing was attached
    """

    def __init__(self, edit: Edit, reader: StepReader) -> None:
        self._edit, self._reader = edit, reader
        self._trainer: Any = None
        self._shadow: Shadow | None = None

    def attach(self, trainer: Any) -> None:
        """Begin to show other labels to ``trainer``'s training steps.

        Args:
            trainer: A Trainer whose strategy is set up.
        """
        self.detach()
        self._reader.attach(trainer)
        self._trainer = trainer
        self._shadow = Shadow(trainer.strategy, "batch_to_device", self._to_device)

    def detach(self) -> None:
        """Show the given labels again."""
        self._reader.detach()
        if self._shadow is not None:
            self._shadow.remove()
        self._trainer = self._shadow = None

    def _to_device(self, to_device: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> Any:
        batch = to_device(batch, *args, **kwargs)
        return self._show(batch) if self._trainer.training else batch

    def _show(self, batch: Any) -> Any:
        part = self._reader.tracked_part(batch)
        if part is None:
            return batch
        key = self._reader.target_key(part)
        shown = part[key]
        if not isinstance(shown, Tensor) or shown.shape[:1].numel() != shown.numel():
            raise ValueError(f"`target` must be one label a sample where labels are replaced, got {describe(shown)}")
        index = self._reader.index(part, len(shown)).to(shown.device)
        targets = self._edit(index, shown.reshape(-1)).to(shown.dtype).view_as(shown)  # (B, 1) of a binary head, too
        # A note on the tensor, which `given_label` reads: trackers measure against what was given, also where several
        # callbacks replace labels, in whatever order.
        targets.given_label = given_label(shown)  # type: ignore[attr-defined]
        edited = replaced(part, key, targets)
        return edited if self._reader.loader is None else replaced(batch, self._reader.loader, edited)
