"""Head surgery: one more class for a network that is there already."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def widen_head(module: Network, name: str | None = None) -> Network:
    """Give the last linear layer of a network one more output, in place, and return the network.

    The rows of the old outputs stay as they are, on their device and in their dtype; the new one is drawn as in a new
    layer. Do it before an optimizer is made: the layer's parameters are new objects.

    Args:
        module: A network or a LightningModule.
        name: The layer's dotted name, e.g. ``"net.fc"``; by default the last ``nn.Linear`` that was registered.

    Raises:
        ValueError: There is no linear layer (of that name).

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> widen_head(net)[2]
        Linear(in_features=8, out_features=4, bias=True)
    """
    linears = {n: m for n, m in module.named_modules() if type(m) is nn.Linear and n}
    if not linears:
        raise ValueError(
            f"`module` must have an nn.Linear head, got {type(module).__name__} without one: build the network with "
            "one more class instead"
        )
    name = next(reversed(linears)) if name is None else name
    if name not in linears:
        raise ValueError(f"`name` must be one of the linear layers {', '.join(linears)}, got {name!r}")
    old = linears[name]
    new = nn.Linear(
        old.in_features,
        old.out_features + 1,
        bias=old.bias is not None,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        for ours, theirs in zip(new.parameters(), old.parameters(), strict=True):
            ours[:-1] = theirs
            ours.requires_grad_(theirs.requires_grad)
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, new.train(old.training))
    return module
