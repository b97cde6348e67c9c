"""Optimizer and learning-rate schedule from plain names and numbers."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from noisylearn._checks import unknown_name


def resolve(name: str, package: str, kind: str) -> Any:
    """Return the class ``name``: a name in ``package`` or a dotted import path.

    Args:
        name: E.g. ``"SGD"`` or ``"my.optim.Lion"``.
        package: Where short names live, e.g. ``"torch.optim"``.
        kind: What it is, for the message.

    Raises:
        ValueError: There is no such class; the message has the nearest names.

    Example:
        >>> resolve("SGD", "torch.optim", "optimizer").__name__
        'SGD'
    """
    module_name, _, short = name.rpartition(".")
    try:
        module = importlib.import_module(module_name or package)
    except ModuleNotFoundError as error:
        raise ValueError(f"no {kind} `{name}`: the module {module_name!r} cannot be imported ({error})") from error
    found = getattr(module, short, None)
    if not isinstance(found, type):
        own = {n: v for n, v in vars(module).items() if isinstance(v, type) and not n.startswith("_")}
        names = [n for n, v in own.items() if v.__module__.startswith(module.__name__)]
        raise ValueError(unknown_name(kind, name, names))
    return found


def check_optimization(optimizer: str, lr: float, scheduler: str | None, interval: str) -> None:
    """Refuse names and numbers now that `build_optimizer` and `build_scheduler` would refuse after the data is read.

    Args:
        optimizer: The optimizer's name.
        lr: Learning rate, above 0.
        scheduler: The scheduler's name, or None.
        interval: ``"epoch"`` or ``"step"``.

    Raises:
        ValueError: A name is unknown, or ``lr`` is not positive and finite.

    Example:
        >>> check_optimization("SGD", 0.1, "CosineAnnealingLR", "step")
    """
    if not 0 < lr < float("inf"):
        raise ValueError(f"`lr` must be above 0, got {lr}: e.g. 0.02")
    resolve(optimizer, "torch.optim", "optimizer")
    if scheduler is not None:
        resolve(scheduler, "torch.optim.lr_scheduler", "scheduler")
    if interval not in ("epoch", "step"):
        raise ValueError(f"`scheduler_interval` must be 'epoch' or 'step', got {interval!r}")


def build_optimizer(
    parameters: Iterable[nn.Parameter], name: str, lr: float, args: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """Return an optimizer over ``parameters``.

    Args:
        parameters: What it steps.
        name: A name in ``torch.optim`` or an import path.
        lr: Learning rate, above 0 (`check_optimization`).
        args: Its other arguments.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> build_optimizer([nn.Parameter(torch.zeros(1))], "SGD", 0.1, {"momentum": 0.9}).defaults["momentum"]
        0.9
    """
    optimizer: torch.optim.Optimizer = resolve(name, "torch.optim", "optimizer")(parameters, lr=lr, **args)
    return optimizer


def build_scheduler(
    optimizer: torch.optim.Optimizer, name: str, args: Mapping[str, Any], interval: str, trainer: Any
) -> dict[str, Any]:
    """Return Lightning's configuration of a learning-rate scheduler.

    The length of the run is filled in where the scheduler needs it and ``args`` does not say: ``T_max`` and
    ``total_iters`` in epochs or steps, OneCycle's ``total_steps``; OneCycle always moves by step.

    Args:
        optimizer: The optimizer.
        name: A name in ``torch.optim.lr_scheduler`` or an import path.
        args: Its arguments, without the optimizer.
        interval: ``"epoch"`` or ``"step"``.
        trainer: The Trainer, which knows the length of the run.

    Raises:
        ValueError: The name is unknown, or the run has no length.
    """
    cls = resolve(name, "torch.optim.lr_scheduler", "scheduler")
    filled = dict(args)
    if cls is torch.optim.lr_scheduler.OneCycleLR:
        interval = "step"
        filled.setdefault("max_lr", [group["lr"] for group in optimizer.param_groups])
    length_name = {"CosineAnnealingLR": "T_max", "OneCycleLR": "total_steps", "PolynomialLR": "total_iters"}
    missing = length_name.get(cls.__name__)
    if missing is not None and missing not in filled:
        length = trainer.estimated_stepping_batches if interval == "step" else trainer.max_epochs
        if length is None or not 0 < length < float("inf"):
            raise ValueError(f"`scheduler_args` needs {missing!r}: the Trainer has no `max_epochs` to take it from")
        filled[missing] = int(length)
    return {"scheduler": cls(optimizer, **filled), "interval": interval}
