"""`StepReader`: index, given labels and logits of a training step, in a project that was not written for us."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from torch import Tensor

from noisylearn.callbacks.features_finder import FeaturesFinder
from noisylearn.callbacks.index_recorder import IndexRecorder
from noisylearn.callbacks.learning_rate import StepRate, nearest_parameters
from noisylearn.callbacks.logits_finder import Key, LogitsFinder
from noisylearn.callbacks.one_logit import as_classes, has_one_logit
from noisylearn.callbacks.row_keys import RowKeys
from noisylearn.signals import Observation

TARGET_KEYS = ("target", "targets", "label", "labels", "y")


class StepReader:
    """Reads one `Observation` per training step.

    Args:
        index: Where the batch holds the row numbers; None: a `Batch`, a dict's ``"index"``, else the loader's sampler.
        target: Where the batch holds the given labels; None: a `Batch`, a dict's usual key, else the second item.
        logits: A key of ``training_step``'s output, a submodule's name, or a callable on the output; None: the output's
            ``"logits"``, else the one submodule that makes them.
        features: A key of the output, the name of a submodule whose output they are, or a callable on the output; None:
            what the linear layer reads that makes the logits. Looked for only if a signal needs them.
        loader: Which of several training loaders is tracked: its key in the batch.
        ignore_index: A label that means "none given".
        keys: Where names become row numbers, for batches that carry strings.

    Attributes:
        needs: What signals need beside logits and labels, e.g. ``("features",)``; set before the first step.

    Example:
        >>> import torch
        >>> reader = StepReader()
        >>> reader.target({"image": torch.zeros(2, 3), "label": torch.tensor([1, 0])}).tolist()
        [1, 0]
    """

    def __init__(
        self,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        features: Key | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
        keys: RowKeys | None = None,
    ) -> None:
        self.keys = RowKeys() if keys is None else keys
        self._index, self._target, self._logits, self._features = index, target, logits, features
        self.loader, self._ignore_index = loader, ignore_index
        self.needs: tuple[str, ...] = ()
        self.recorder = IndexRecorder(loader)
        self.recorded = False
        self._finder: LogitsFinder | None = None
        self._features_finder: FeaturesFinder | None = None
        self._rate = StepRate()
        self._submodules = ""
        self._automatic = self._checked = False

    def attach(self, trainer: Any) -> None:
        """Begin a fit: record the loader that is about to be made."""
        self._checked, self._rate = False, StepRate()
        self.recorder.attach(trainer)

    def detach(self) -> None:
        """End a fit: remove every hook and put the loader back."""
        self.recorder.detach()
        for finder in (self._finder, self._features_finder):
            if finder is not None:
                finder.stop()
        self._finder = self._features_finder = None

    def start_step(self, trainer: Any, module: Any) -> None:
        """Listen for the logits of the step that follows."""
        self._automatic = bool(module.automatic_optimization)
        names = dict(module.named_modules()) if not self._checked else {}
        self._submodules = ", ".join(name for name in names if name)
        if not self._checked and self._finder is None:
            name = self._logits
            if name is None or (isinstance(name, str) and name in names):
                self._finder = LogitsFinder(module, name)
        if not self._checked and self._features_finder is None and "features" in self.needs:
            name = self._features
            if name is None or (isinstance(name, str) and name in names):
                self._features_finder = FeaturesFinder(module, name)
        if "learning_rate" in self.needs:
            self._rate.start_step(trainer.optimizers)
        for finder in (self._finder, self._features_finder):
            if finder is not None:
                finder.start_step(lambda: bool(trainer.training))

    def end_step(self, batch: Any, outputs: Any) -> Observation | None:
        """Return what the step showed, or None if it was skipped.

        Under automatic optimization a step is skipped where ``training_step`` returned None. Under manual optimization
        that is usual, and a step is skipped where no network ran.

        Raises:
            ValueError: Something was not found; the message says what the batch and the outputs hold.
        """
        batch = self.tracked_part(batch)
        if batch is None:  # this loader is at its end, and another goes on
            return None
        targets = self.target(batch)
        index = self.index(batch, len(targets) if targets.ndim else 1)
        if isinstance(outputs, Mapping) and not outputs and (self._automatic or self._nothing_ran()):
            return None
        finder = self._finder
        raw = self._read_logits(outputs, targets)
        if not self._checked:
            check_class_ids(raw, targets, self._ignore_index)  # waits for the device: the first batch of a fit only
            self._checked = True
        extras: dict[str, Any] = {name: self._extra(name, outputs, raw) for name in self.needs}
        if "learning_rate" in extras:
            if not self._rate.known:  # comparing values waits for the device: the first step of a fit only
                self._rate.look(self._layer(raw, finder))
            extras["learning_rate"] = self._rate.value
        logits, targets = as_classes(raw, targets)
        index = index.to(logits.device, non_blocking=True)
        return Observation(index, logits, targets, ignore_index=self._ignore_index, **extras)

    def tracked_part(self, batch: Any) -> Any:
        """Return the part of a batch that came from the loader asked for.

        Raises:
            ValueError: There is no such part.
        """
        if self.loader is None:
            return batch
        try:
            return batch[self.loader]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"`loader={self.loader!r}` is not in the batch, which is {describe(batch)}") from error

    def _nothing_ran(self) -> bool:
        return self._finder is not None and not self._finder.ran

    def _extra(self, name: str, outputs: Any, logits: Tensor) -> Any:
        key: Any = self._features if name == "features" else name
        if callable(key):
            return _as_tensor(name, key(outputs))
        if isinstance(outputs, Mapping) and key in outputs:
            return _as_tensor(name, outputs[key])
        if name == "features" and self._features_finder is not None:
            return self._features_finder.end_step(logits)
        if name == "features" and key is not None:
            raise ValueError(
                f"`features`: {key!r} is neither a key of training_step's output, which is {describe(outputs)}, "
                f"nor a submodule ({self._submodules}): pass one of those, or a callable"
            )
        return None  # the signal set says who needs it, and the way out

    def _layer(self, logits: Tensor, finder: LogitsFinder | None) -> list[Tensor]:
        """Return the parameters of the layer that made the logits, as far as they or a hook tell."""
        found = nearest_parameters(logits)
        if not found and finder is not None:
            found = finder.layer_of(logits)
        if not found and self._features_finder is not None:
            found = self._features_finder.layer
        return found

    def index(self, batch: Any, rows: int) -> Tensor:
        """Return the batch's row numbers: positions in ``loader.dataset`` if they are `recorded`."""
        carried = self.carried_index(batch)
        self.recorded = carried is None
        return self.recorder.take(rows) if carried is None else carried

    def carried_index(self, batch: Any) -> Tensor | None:
        """Return the row numbers that the batch carries, or None if it does not."""
        if self._index is not None:
            return self._rows(_pick(batch, self._index, "index"))
        if _is_batch(batch):
            return self._rows(batch.index)
        if isinstance(batch, Mapping) and "index" in batch:
            return self._rows(batch["index"])
        return None

    def _rows(self, index: Any) -> Tensor:
        if isinstance(index, list | tuple) and index and all(isinstance(name, str) for name in index):
            return self.keys.rows_of(index)
        return _as_tensor("index", index)

    def target(self, batch: Any) -> Tensor:
        """Return the batch's given labels, also where a `LabelView` shows others."""
        if callable(self._target):
            return _as_tensor("target", self._target(as_given(batch)))
        return _as_tensor("target", given_label(_pick(batch, self.target_key(batch), "target")))

    def target_key(self, batch: Any) -> str | int:
        """Return where the batch holds the given labels.

        Raises:
            ValueError: A function says so, or there are none in the usual places.
        """
        if callable(self._target):
            raise ValueError("`target` must be a key (a str or an int) where labels are replaced, got a function")
        if self._target is not None:
            return self._target
        if isinstance(batch, Mapping):
            key = next((k for k in TARGET_KEYS if k in batch), None)
            if key is not None:
                return key
        elif isinstance(batch, list | tuple) and len(batch) >= 2:
            return 1  # of a `Batch` too
        raise ValueError(f"`target`: no labels found in the batch, which is {describe(batch)}: pass `target=` a key")

    def _read_logits(self, outputs: Any, targets: Tensor) -> Tensor:
        key = self._logits
        if callable(key):
            return _as_tensor("logits", key(outputs))
        name = "logits" if key is None else key
        if isinstance(outputs, Mapping) and name in outputs:
            if self._finder is not None:
                self._finder.stop()
                self._finder = None
            return _as_tensor("logits", outputs[name])
        if self._finder is None:
            raise ValueError(
                f"`logits`: {key!r} is neither a key of training_step's output, which is {describe(outputs)}, "
                f"nor a submodule ({self._submodules}): pass one of those, or a callable"
            )
        # One wait for the device, on the first batch of a fit only.
        classes = int(targets.max()) + 1 if not self._checked and targets.numel() == len(targets) else 2
        return self._finder.end_step(len(targets), classes)


def check_class_ids(logits: Tensor, targets: Tensor, ignore_index: int | None = None) -> None:
    """Refuse labels that are no class ids of these logits; it waits for the device.

    Args:
        logits: As the network makes them.
        targets: The labels.
        ignore_index: A label that means "none given".

    Raises:
        ValueError: They are soft, of several classes, or out of range.

    Example:
        >>> import torch
        >>> check_class_ids(torch.zeros(2, 3), torch.tensor([2, 0]))
    """
    one = has_one_logit(logits)
    ids = targets.reshape(-1) if one and targets.numel() == len(targets) else targets
    whole = not ids.is_floating_point() or (one and bool((ids == ids.round()).all()))
    if not whole or ids.ndim != 1:
        raise ValueError(
            f"`target` must be (B,) class ids, got {describe(targets)}: soft and multi-label targets have no given "
            "label; pass `target=` the hard labels"
        )
    if ignore_index is not None:
        ids = ids[ids != ignore_index]
    num_classes = 2 if one else logits.shape[-1]
    low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, 0)
    if low < 0 or high >= num_classes:
        found = low if low < 0 else high
        hint = "; if it means that no label is given, pass `ignore_index=` it" if low < 0 else ""
        raise ValueError(
            f"`target` must be in [0, {num_classes}), as the logits are {describe(logits)}, got {found}: the "
            f"logits or the labels are not the ones meant{hint}"
        )


def _is_batch(batch: Any) -> bool:
    """A `Batch`, by its field names: the class itself is the data package's."""
    return getattr(batch, "_fields", None) == ("input", "target", "index")


def _pick(batch: Any, key: Key, name: str) -> Any:
    if callable(key):
        return key(batch)
    try:
        return batch[key]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"`{name}={key!r}` is not in the batch, which is {describe(batch)}") from error


def _as_tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(f"`{name}` must be a tensor, got {describe(value)}")
    return value


def given_label(targets: Any) -> Any:
    """Return the labels that were given, where a `LabelView` shows others.

    Example:
        >>> given_label("cat")
        'cat'
    """
    return getattr(targets, "given_label", targets)


def as_given(batch: Any) -> Any:
    """Return a batch with the labels that were given, where a `LabelView` shows others.

    Example:
        >>> as_given({"x": 1, "y": 2})
        {'x': 1, 'y': 2}
    """
    items = batch.items() if isinstance(batch, Mapping) else enumerate(batch) if isinstance(batch, list | tuple) else ()
    for key, value in list(items):
        if (given := given_label(value)) is not value:
            batch = replaced(batch, key, given)
    return batch


def replaced(batch: Any, key: Any, value: Any) -> Any:
    """Return a batch like ``batch`` with another value at ``key``.

    Args:
        batch: A tuple, a list or a mapping; it stays as it is.
        key: A key, or a position.
        value: What is there instead.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> replaced(("image", 3), -1, 4)
        ('image', 4)
    """
    if isinstance(batch, Mapping):
        rebuilt: Any = copy(batch)  # its own kind: a BatchEncoding of Hugging Face has its items as attributes
        rebuilt[key] = value
        return rebuilt
    if isinstance(batch, list | tuple):
        items = [value if i == key % len(batch) else item for i, item in enumerate(batch)]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    raise ValueError(f"the labels of a batch can be replaced in a tuple, a list or a dict, got {describe(batch)}")


def describe(value: Any) -> str:
    """Return what a batch or an output holds, in one line: keys, types and shapes.

    Example:
        >>> import torch
        >>> describe([torch.zeros(2, 3), {"a": 1}])
        'list [tensor (2, 3) float32, dict {a: int}]'
    """
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Mapping):
        return "dict {" + ", ".join(f"{k}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "tuple (" + ", ".join(describe(v) for v in value) + ")"
    if isinstance(value, list):
        return "list [" + ", ".join(describe(v) for v in value[:4]) + (", ...]" if len(value) > 4 else "]")
    return type(value).__name__
