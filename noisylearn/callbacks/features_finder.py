"""Where a step's features come from: what the last linear layer reads, or the output of a named submodule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from noisylearn.callbacks.logits_finder import always

HOW = 'pass `features="name.of.the.submodule"` whose output they are'


class FeaturesFinder:
    """Captures the penultimate features of a training step, ``(B, d)`` after flattening.

    With a name it takes that submodule's output. Without, it watches the linear layers on the first step and takes the
    input of the one whose output is the logits.

    Args:
        module: The LightningModule.
        name: The submodule's dotted name, or None to find the layer.

    Raises:
        ValueError: There is no submodule of that name.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        >>> finder = FeaturesFinder(net, None)
        >>> finder.start_step()
        >>> logits = net(torch.zeros(2, 4))
        >>> finder.end_step(logits).shape
        torch.Size([2, 6])
    """

    def __init__(self, module: nn.Module, name: str | None) -> None:
        modules = {n: m for n, m in module.named_modules() if n}
        if name is not None and name not in modules:
            raise ValueError(f"`features`: there is no submodule {name!r}; there are {', '.join(modules)}")
        self._named, self._modules = name, modules
        self._active = False
        self._listens: Callable[[], bool] = always
        self._seen: list[tuple[str, Any, Any]] = []
        linear = {n: m for n, m in modules.items() if isinstance(m, nn.Linear)}
        watched = linear if name is None else {name: modules[name]}
        self._handles = {n: self._hook(n, m) for n, m in watched.items()}
        self._found: str | None = name

    def _hook(self, name: str, module: nn.Module) -> Any:
        def after(_module: nn.Module, args: Any, output: Any) -> None:
            if self._active and self._listens():
                self._seen.append((name, args[0] if args else None, output))

        return module.register_forward_hook(after)

    def start_step(self, listens: Callable[[], bool] = always) -> None:
        """Begin to listen: a training step follows; see `LogitsFinder.start_step`."""
        self._active, self._listens, self._seen = True, listens, []

    def stop(self) -> None:
        """Remove the hooks."""
        self._active, self._seen = False, []
        for handle in self._handles.values():
            handle.remove()
        self._handles = {}

    @property
    def layer(self) -> list[Tensor]:
        """The parameters of the linear layer that makes the logits, once it is found."""
        return [] if self._found is None or self._named is not None else list(self._modules[self._found].parameters())

    def end_step(self, logits: Tensor) -> Tensor:
        """Return the step's features.

        Args:
            logits: ``(B, C)`` as the network gave them.

        Returns:
            ``(B, ...)``, detached.

        Raises:
            ValueError: The submodule did not run once, or no single linear layer makes the logits.
        """
        seen, self._active, self._seen = self._seen, False, []
        if self._found is None:
            self._found = self._find(seen, logits)
        once = [(given, made) for name, given, made in seen if name == self._found]
        if len(once) != 1:
            raise ValueError(f"`features`: {self._found!r} ran {len(once)} times in one step; it must run once. {HOW}")
        value = once[0][1] if self._named is not None else once[0][0]
        if not isinstance(value, Tensor) or value.shape[:1] != logits.shape[:1]:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"`features`: {self._found!r} gave {found}, not ({len(logits)}, ...). Way out: {HOW}")
        return value.detach()

    def _find(self, seen: list[tuple[str, Any, Any]], logits: Tensor) -> str:
        """Compare values, which waits for the device: the first step of a fit only."""
        alike = [n for n, _, made in seen if made.shape == logits.shape and torch.equal(made.to(logits), logits)]
        if len(alike) != 1:
            names = ", ".join(n for n, _, _ in seen) or "none ran"
            raise ValueError(
                f"`features` not found: {len(alike)} linear layers make the logits; those that ran: {names}. "
                f"Way out: {HOW}"
            )
        for name in [n for n in self._handles if n != alike[0]]:
            self._handles.pop(name).remove()
        return alike[0]
