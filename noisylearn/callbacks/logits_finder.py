"""Where the logits come from when ``training_step`` does not return them: a forward hook on one submodule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from noisylearn.callbacks.learning_rate import nearest_parameters

HOW = 'return {"loss": loss, "logits": logits} from training_step, or pass `logits="name.of.the.submodule"`'


def _is_logits(output: Any, rows: int) -> bool:
    """Whether it is (B, C); a binary head's one logit may come without the second dimension."""
    return (
        isinstance(output, Tensor) and output.ndim in (1, 2) and output.shape[0] == rows and output.is_floating_point()
    )


def _logits_of(output: Any) -> Any:
    """Of what a network gives: a dict's ``"logits"``, those of an output object (as Hugging Face's), else itself."""
    return output["logits"] if isinstance(output, dict) and "logits" in output else getattr(output, "logits", output)


def always() -> bool:
    """Every pass counts."""
    return True


class LogitsFinder:
    """Captures the output of the submodule that makes the logits.

    With a name it hooks that submodule. Without, it watches the first step and takes the one outermost submodule whose
    output is (B, C), or else (B, 1) where the labels are 0 and 1.

    Args:
        module: The LightningModule.
        name: The submodule's dotted name, or None to find it.

    Raises:
        ValueError: There is no submodule of that name.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> finder = LogitsFinder(nn.ModuleDict({"net": net}), "net")
        >>> finder.start_step()
        >>> import torch
        >>> _ = net(torch.zeros(2, 2, 2))
        >>> finder.end_step(rows=2, num_classes=3).shape
        torch.Size([2, 3])
    """

    def __init__(self, module: nn.Module, name: str | None) -> None:
        self._name = name
        self._active = False
        self._listens: Callable[[], bool] = always
        self._depth = 0
        self._outputs: list[tuple[str, Any]] = []
        self._made: list[tuple[Tensor, list[Tensor]]] | None = []  # outputs and whose they are, until that is asked
        self._modules = {n: m for n, m in module.named_modules() if n}
        if name is not None and name not in self._modules:
            raise ValueError(f"`logits`: there is no submodule {name!r}; there are {', '.join(self._modules)}")
        watched = self._modules if name is None else {name: self._modules[name]}
        self._handles = [h for n, m in watched.items() for h in self._hook(n, m)]

    def _hook(self, name: str, module: nn.Module) -> list[Any]:
        def before(_module: nn.Module, _args: Any) -> None:
            self._depth += self._active and self._listens()

        def after(_module: nn.Module, _args: Any, output: Any) -> None:
            if self._active and self._listens():
                self._depth -= 1
                if self._depth == 0:  # an inner module's output is its owner's business
                    output = _logits_of(output)
                    if isinstance(output, Tensor) and self._made is not None:
                        self._made.append((output.detach(), nearest_parameters(output)))
                    self._outputs.append((name, output.detach() if isinstance(output, Tensor) else output))

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def start_step(self, listens: Callable[[], bool] = always) -> None:
        """Begin to listen: a training step follows.

        Args:
            listens: Whether a pass that runs now is the step's own; another callback may sweep before the step is read.
        """
        self._active, self._listens, self._depth, self._outputs = True, listens, 0, []
        self._made = None if self._made is None else []

    @property
    def name(self) -> str | None:
        """The submodule's dotted name, once it is known."""
        return self._name

    @property
    def ran(self) -> bool:
        """Whether a watched submodule has run since `start_step`."""
        return bool(self._outputs)

    def stop(self) -> None:
        """Remove the hooks."""
        self._active = False
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def layer_of(self, logits: Tensor) -> list[Tensor]:
        """Return the parameters of the layer that made these logits, as far as a watched submodule gave them.

        It compares values, which waits for the device, and is for the first step of a fit only.
        """
        made, self._made = self._made or [], None
        return [p for output, own in made if output.shape == logits.shape and torch.equal(output, logits) for p in own]

    def end_step(self, rows: int, num_classes: int) -> Tensor:
        """Return the step's logits.

        Args:
            rows: Rows in the batch.
            num_classes: The smallest number of classes that the targets admit (their maximum plus one).

        Returns:
            ``(B, C)``, or ``(B,)`` or ``(B, 1)`` from a binary head; detached.

        Raises:
            ValueError: The submodule ran twice or not at all, or no single submodule gives (B, C).
        """
        outputs, self._active, self._outputs = self._outputs, False, []
        if self._name is not None:
            if len(outputs) != 1:
                raise ValueError(_ran(self._name, len(outputs)))
            return self._check(outputs[0][1], rows)
        fitting = [(n, o) for n, o in outputs if _is_logits(o, rows)]
        found = [(n, o) for n, o in fitting if o.ndim == 2 and o.shape[1] >= max(num_classes, 2)]
        if not found and num_classes <= 2:
            found = [(n, o) for n, o in fitting if o.numel() == rows]  # a binary head's one logit
        if len(found) > 1 and len({n for n, _ in found}) == 1:
            raise ValueError(_ran(found[0][0], len(found)))
        if len(found) != 1:
            seen = ", ".join(f"{n}: {_describe(o)}" for n, o in outputs) or "none ran"
            raise ValueError(
                f"`logits` not found: {len(found)} outermost submodules gave ({rows}, C >= {max(num_classes, 2)}), as "
                f"the largest label is {num_classes - 1}; outputs of this step: {seen}. Way out: {HOW}"
            )
        self.stop()
        self._name = found[0][0]
        self._handles = self._hook(self._name, self._modules[self._name])
        return self._check(found[0][1], rows)

    def _check(self, logits: Any, rows: int) -> Tensor:
        if not _is_logits(logits, rows):
            raise ValueError(
                f"`logits`: the submodule {self._name!r} gave {_describe(logits)}, not ({rows}, C). Way out: {HOW}"
            )
        assert isinstance(logits, Tensor)
        return logits


def _ran(name: str, times: int) -> str:
    often = f"{times} times" if times else "not at all"
    return f"`logits`: the submodule {name!r} ran {often} in one training step; it must run once. Way out: {HOW}"


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__


Key = str | int | Callable[[Any], Any]
