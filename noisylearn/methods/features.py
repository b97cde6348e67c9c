"""`classifier_inputs`: the features that a network's classifier reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def classifier_inputs(network: nn.Module) -> Iterator[Callable[[], Tensor]]:
    """Give a function that returns what the last linear layer to run has read, ``(B, d)`` float32.

    Compiled networks run uncompiled meanwhile: what is compiled sees no new hooks.

    Args:
        network: The network; it is to be called before the function is.

    Raises:
        ValueError: When the function is called: no linear layer ran.

    Example:
        >>> network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
        >>> with classifier_inputs(network) as features:
        ...     logits = network(torch.zeros(4, 3))
        ...     features().shape
        torch.Size([4, 5])
    """
    read: list[Tensor] = []

    def note(_module: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> None:
        read[:] = args[:1]

    def features() -> Tensor:
        if not read:
            raise ValueError("`backbone` must end in a linear layer, and none has run: its input is the features")
        return read[0].detach().flatten(1).float()

    handles = [part.register_forward_hook(note) for part in network.modules() if isinstance(part, nn.Linear)]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield features
    finally:
        for handle in handles:
            handle.remove()
