"""`LabelView`: other labels in the training batches, the dataset and the given labels untouched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from noisylearn.callbacks.shadow import Shadow
from noisylearn.callbacks.step_reader import StepReader, describe, given_label

Edit = Callable[[Tensor, Tensor], Tensor]
"""From row numbers and labels, ``(B,)`` each, to the labels to train on."""


class LabelView:
    """Shows other labels to ``training_step``, in a batch of its own.

    It stands before the strategy's public ``batch_to_device``, which Lightning calls for every batch, in training only.
    The batch is rebuilt around a new tensor of labels: what the loader made stays as it was, storage included.

    Args:
        edit: From row numbers and labels to the labels to train on.
        reader: Where batches have the row numbers and labels; a label's place must be a key, not a function.
        measured: Whether trackers go on measuring against the label that was given, else against the one shown.

    Example:
        >>> LabelView(lambda index, targets: targets, StepReader()).detach()  # nothing was attached
    """

    def __init__(self, edit: Edit, reader: StepReader, measured: bool = True) -> None:
        self._edit, self._reader, self._measured = edit, reader, measured
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
        given = part[key]
        index = self._reader.index(part, len(given)).to(given.device)
        targets = self._edit(index, given)
        # A note on the tensor, which `given_label` reads: trackers measure against what was given, also where several
        # callbacks replace labels, in whatever order.
        before = given_label(given)
        targets.given_label = before if self._measured else self._edit(index, before)  # type: ignore[attr-defined]
        edited = _with(part, key, targets)
        return edited if self._reader.loader is None else _with(batch, self._reader.loader, edited)


def _with(batch: Any, key: Any, value: Any) -> Any:
    """A batch like ``batch`` with another value at ``key``."""
    if isinstance(batch, Mapping):
        rebuilt: Any = {**batch, key: value}
        return rebuilt
    if isinstance(batch, list | tuple):
        items = [value if i == key % len(batch) else item for i, item in enumerate(batch)]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    raise ValueError(f"the labels of a batch can be replaced in a tuple, a list or a dict, got {describe(batch)}")
