"""An account of its own of what a network is shown in training: a hook writes down inputs and logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Watched:
    """Where a project's network shows what it is given, and what it makes of it.

    Args:
        logits: The submodule whose output they are.
        inputs: The submodule whose inputs show which samples they are.
        numbers: Maps the positional and the keyword arguments of ``inputs`` to the samples' numbers.
    """

    logits: str
    inputs: str
    numbers: Callable[[tuple[Any, ...], dict[str, Any]], Tensor]


Pass = tuple[int, Tensor, Tensor]
"""Epoch, numbers of the samples, logits."""


@contextmanager
def watch(trainer: Any, module: Any, watched: Watched, first_epoch: int = 0) -> Iterator[list[Pass]]:
    """Write down each pass in training mode; afterwards nothing of anybody's may be left in module and loader."""
    passes: list[Pass] = []
    shown: list[Tensor] = []

    def read(part: Any, args: Any, kwargs: Any) -> None:
        if part.training:
            shown[:] = [watched.numbers(args, kwargs)]

    def write(part: Any, args: Any, output: Tensor) -> None:
        if part.training:
            passes.append((first_epoch + trainer.current_epoch, shown[0], output.detach().clone()))

    handles = [
        module.get_submodule(watched.inputs).register_forward_pre_hook(read, with_kwargs=True),
        module.get_submodule(watched.logits).register_forward_hook(write),
    ]
    yield passes
    for handle in handles:
        handle.remove()
    nothing_is_left(trainer, module)


def nothing_is_left(trainer: Any, module: Any) -> None:
    """Assert that hooks, samplers and the strategy's method are as they were."""
    for name, part in module.named_modules():
        assert not part._forward_hooks, f"a hook is left on {name!r}"
        assert not part._forward_pre_hooks, f"a hook is left on {name!r}"
    sampler = type(trainer.train_dataloader.batch_sampler.sampler)
    assert sampler.__module__.split(".")[0] == "torch", f"the loader has a {sampler.__name__}: not put back"
    assert "process_dataloader" not in vars(trainer.strategy), "the strategy is still shadowed"
