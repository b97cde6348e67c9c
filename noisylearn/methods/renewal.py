"""Weights that are drawn anew in the middle of a fit."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from noisylearn._compat import LightningModule


def check_renewable(name: str, modules: Iterable[nn.Module], way_out: str) -> None:
    """Refuse modules that have weights and no ``reset_parameters``.

    Args:
        name: The argument that asks for it, for the message.
        modules: Modules, each of which is asked for its own weights, not for those of its parts.
        way_out: What to do about it.

    Raises:
        ValueError: See above.

    Example:
        >>> check_renewable("tail", [nn.Linear(2, 2), nn.ReLU()], "begin after it")
    """
    for module in modules:
        if any(True for _ in module.parameters(recurse=False)) and not hasattr(module, "reset_parameters"):
            raise ValueError(
                f"`{name}` needs modules that can draw their weights anew, got a {type(module).__name__}, which has no "
                f"`reset_parameters`: {way_out}"
            )


def draw_anew(method: LightningModule, modules: Iterable[nn.Module]) -> None:
    """Draw the weights of some of a method's modules anew, in place, alike on every process.

    Args:
        method: The module of a running fit.
        modules: Some of its own, see `check_renewable`.
    """
    devices = [method.device] if method.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # uses up no number: a run that is resumed here draws the same
        torch.manual_seed(method.trainer.strategy.broadcast(int(torch.randint(2**62, ()))))
        for module in modules:
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
