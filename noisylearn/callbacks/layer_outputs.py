"""`LayerOutputs`: what some submodules put out in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class LayerOutputs:
    """Captures the outputs of named submodules, ``(B, ...)`` each, as they are: a signal knows its channels.

    Args:
        module: The LightningModule.
        names: The submodules' dotted names, from first to last.

    Raises:
        ValueError: There is no submodule of a name.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
        >>> layers = LayerOutputs(net, ["0", "2"])
        >>> layers.start_step()
        >>> _ = net(torch.zeros(2, 1, 5, 5))
        >>> [output.shape for output in layers.end_step()]
        [torch.Size([2, 4, 3, 3]), torch.Size([2, 36])]
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        modules = dict(module.named_modules())
        unknown = [name for name in names if name not in modules]
        if unknown:
            known = ", ".join(name for name in modules if name)
            raise ValueError(f"`layers`: there is no submodule {unknown[0]!r}; there are {known}")
        self._names = list(names)
        self._active = False  # signals of gradients run the network again, after what is wanted here has been read
        self._outputs: dict[str, list[Any]] = {}
        self._handles = [modules[name].register_forward_hook(self._hook(name)) for name in names]

    def _hook(self, name: str) -> Any:
        def after(_module: nn.Module, _args: Any, output: Any) -> None:
            if self._active:
                self._outputs.setdefault(name, []).append(output)

        return after

    def start_step(self) -> None:
        """Begin to listen: a forward pass follows."""
        self._active, self._outputs = True, {}

    def stop(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._outputs = [], {}

    def end_step(self) -> list[Tensor]:
        """Return the outputs, in the order of the names.

        Raises:
            ValueError: A submodule did not run once, or gave no tensor of at least two dimensions.
        """
        found = []
        for name in self._names:
            outputs = self._outputs.get(name, [])
            if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].ndim < 2:
                what = [tuple(o.shape) if isinstance(o, Tensor) else type(o).__name__ for o in outputs]
                raise ValueError(f"`layers`: {name!r} gave {what} in one pass; it must give one (B, d, ...) tensor")
            found.append(outputs[0].detach())
        self._active, self._outputs = False, {}
        return found
