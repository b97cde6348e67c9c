"""`SweepReader`: index, labels, logits and what else signals need, in a pass that is no training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from noisylearn.callbacks.features_finder import FeaturesFinder
from noisylearn.callbacks.layer_outputs import LayerOutputs
from noisylearn.callbacks.learning_rate import StepRate
from noisylearn.callbacks.logits_finder import Key, LogitsFinder
from noisylearn.callbacks.one_logit import TwoLogits, as_classes, has_one_logit
from noisylearn.callbacks.row_keys import RowKeys
from noisylearn.callbacks.step_reader import StepReader, check_class_ids, describe
from noisylearn.signals import Observation

INPUT_KEYS = ("input", "inputs", "image", "images", "x", "pixel_values", "input_ids")

Observe: TypeAlias = Callable[[Any, Tensor | None], Observation]
"""From a batch on the device, and its samples' positions, to what the network makes of it.

Where the positions are None, samples that do not carry their row number have the row -1.
"""


class SweepReader:
    """Runs the network on a batch and reads what there is to see.

    Args:
        logits: The name of the submodule that maps inputs to logits, or a callable ``(module, batch) -> logits``. None:
            the module's ``forward``; else the one submodule that made the logits in the first training step.
        input: Where a batch holds the network's input; None: a `Batch`, the first item, or a dict's usual key.
        target: Where a batch holds the given labels.
        index: Where a batch holds the row numbers; None: a `Batch`, a dict's ``"index"``, else positions.
        features: The submodule whose output the features are; None: what the linear layer reads that makes the logits.
        layers: Names of submodules whose outputs are wanted.
        loader: Which of several training loaders is meant.
        ignore_index: A label that means "none given".
        keys: Where names become row numbers.

    Attributes:
        by_position: Whether the rows of the last batch were positions.
    """

    def __init__(
        self,
        logits: str | Callable[[Any, Any], Tensor] | None = None,
        input: Key | None = None,
        target: Key | None = None,
        index: Key | None = None,
        features: str | None = None,
        layers: Sequence[str] = (),
        loader: str | int | None = None,
        ignore_index: int | None = None,
        keys: RowKeys | None = None,
    ) -> None:
        self._logits, self._input, self._features, self._layers = logits, input, features, list(layers)
        self._step = StepReader(index, target, loader=loader, keys=keys)
        self._ignore_index = ignore_index
        self._finder: LogitsFinder | None = None
        self._found: str | None = None
        self._rate = StepRate()
        self._checked = False
        self.by_position = False

    # -- which submodule makes the logits, seen in the first training step -------------------------------------------

    def attach(self, module: Any) -> None:
        """Begin a fit: look for the logits, where the module has no ``forward`` and nothing is named."""
        self._rate = StepRate()
        if self._logits is None and not _has_forward(module):
            self._finder = LogitsFinder(module, self._found)

    def start_step(self, optimizers: Sequence[Any] = ()) -> None:
        """Listen to the training step that follows, and read its learning rate, which a later sweep may ask for."""
        self._rate.start_step(optimizers)
        if self._finder is not None:
            self._finder.start_step()

    def end_step(self, batch: Any) -> None:
        """Note which submodule made the logits of the step."""
        if self._finder is not None and self._finder.ran:
            targets = self._step.target(self._step.tracked_part(batch))
            self._finder.end_step(len(targets), int(targets.max()) + 1)
            self._found = self._finder.name
            self.detach()

    def detach(self) -> None:
        """End a fit: remove what is left of the search."""
        if self._finder is not None:
            self._finder.stop()
        self._finder = None

    # -- a pass ------------------------------------------------------------------------------------------------------

    @contextmanager
    def observing(self, module: Any, needs: Sequence[str] = ()) -> Iterator[Observe]:
        """Give a function that observes a batch; its hooks are gone afterwards.

        Args:
            module: The LightningModule.
            needs: What is wanted beside logits and labels, see `noisylearn.signals.Signal.needs`. A learning rate is
                that of the last training step, of the layer that the features go into, if they are wanted too and it is
                not a named one's; else the largest of the network's.

        Raises:
            ValueError: Something was not found; the message says what was.
        """
        network, self._checked = self.network(module), False
        with ExitStack() as stack:
            features = FeaturesFinder(module, self._features) if "features" in needs else None
            layers = LayerOutputs(module, self._layers) if self._layers else None
            for hooks in (features, layers):
                if hooks is not None:
                    stack.callback(hooks.stop)

            def observe(batch: Any, positions: Tensor | None) -> Observation:
                extras: dict[str, Any] = {}
                for hooks in (features, layers):
                    if hooks is not None:
                        hooks.start_step()
                targets = self._step.target(batch)
                if network is None:
                    assert callable(self._logits)
                    logits = self._logits(module, batch)
                else:
                    extras = {"network": network, "inputs": self.input_of(batch)}
                    logits = _run(network, extras["inputs"], module, batch)
                self._check(logits, targets)
                if features is not None:
                    extras["features"] = features.end_step(logits)
                if "learning_rate" in needs:
                    extras["learning_rate"] = self._learning_rate(network or module, features)
                if layers is not None:
                    extras["layers"] = layers.end_step()
                rows = self._rows(batch, positions, len(targets)).to(logits.device)
                logits, targets = _as_classes(logits, targets, extras)
                return Observation(rows, logits, targets, ignore_index=self._ignore_index, **extras)

            yield observe

    def _rows(self, batch: Any, positions: Tensor | None, count: int) -> Tensor:
        index = self._step.carried_index(batch)
        self.by_position = index is None
        rows = positions if index is None else index
        return torch.full((count,), -1) if rows is None else rows

    def _check(self, logits: Any, targets: Tensor) -> None:
        if not isinstance(logits, Tensor) or logits.ndim not in (1, 2) or len(logits) != len(targets):
            raise ValueError(
                f"`logits`: the sweep got {describe(logits)} for {len(targets)} samples, not ({len(targets)}, C): name "
                "the submodule that makes them, or pass `logits=lambda module, batch: ...`"
            )
        if not self._checked:  # waits for the device: the first batch of a pass only
            check_class_ids(logits, targets, self._ignore_index)
            self._checked = True

    def _learning_rate(self, network: nn.Module, features: FeaturesFinder | None) -> float | Tensor:
        if not self._rate.known:
            layer = [] if features is None else features.layer
            self._rate.look(layer or network.parameters())
        return self._rate.value

    def network(self, module: Any) -> nn.Module | None:
        """Return the module that maps inputs to logits; None where a function of the batch does.

        Raises:
            ValueError: It is not known, or there is no submodule of the name.
        """
        if callable(self._logits):
            return None
        name = self._logits or self._found
        modules = dict(module.named_modules())
        if name is not None and name not in modules:
            raise ValueError(
                f"`logits`: there is no submodule {name!r}; there are {', '.join(n for n in modules if n)}"
            )
        if name is None and not _has_forward(module):
            raise ValueError(
                f"`logits`: {type(module).__name__} has no forward, and no training step has shown which submodule "
                "makes the logits: name it, or pass `logits=lambda module, batch: ...`"
            )
        network: nn.Module = module if name is None else modules[name]
        return network

    def input_of(self, batch: Any) -> Any:
        """Return what the network is given of a batch.

        Raises:
            ValueError: A dict has none of the usual keys.
        """
        if callable(self._input):
            return self._input(batch)
        if self._input is not None:
            return batch[self._input]
        if isinstance(batch, Mapping):
            key = next((k for k in INPUT_KEYS if k in batch), None)
            if key is None:
                raise ValueError(
                    f"`input`: nothing found in the batch, which is {describe(batch)}: pass `input=` a key"
                )
            return batch[key]
        return batch[0]


def _run(network: nn.Module, inputs: Any, module: Any, batch: Any) -> Any:
    try:
        return network(inputs)
    except TypeError as error:  # most likely a forward that takes other arguments
        raise ValueError(
            f"`logits`: {type(network).__name__} of {type(module).__name__} could not be called with one input "
            f"({error}); the batch is {describe(batch)}: pass `logits=lambda module, batch: ...`"
        ) from error


def _has_forward(module: Any) -> bool:
    """Whether its class defines ``forward``; Lightning's own only says that it is missing."""
    return not type(module).forward.__module__.endswith(".core.module")


def _as_classes(logits: Tensor, targets: Tensor, extras: dict[str, Any]) -> tuple[Tensor, Tensor]:
    if has_one_logit(logits) and "network" in extras:  # signals of gradients run it themselves
        extras["network"] = TwoLogits(extras["network"])
    return as_classes(logits, targets)
