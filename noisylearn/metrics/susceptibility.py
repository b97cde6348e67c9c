"""Susceptibility: how readily a network takes up random labels, measured without training it on them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer


def susceptibility(network: nn.Module, optimizer: Optimizer, inputs: Any, random_labels: Tensor) -> Tensor:
    """Return how far one optimizer step on randomly labelled samples lowers the loss on these samples.

    High means prone to memorize; the paper tracks its running mean over epochs and prefers, among networks that fit
    the training set well, those where it is low. No clean label is needed, nor any label: held-out inputs will do.

    Nothing changes: parameters, their ``.grad``, buffers, the optimizer's state, random number generators (torch's
    on the CPU and the labels' device, NumPy's, Python's) and the modules' train or eval modes are as they were, bit
    for bit, since the step is made on copies. It takes memory for a second set of parameters and optimizer state. The
    network's forward hooks do run, twice, and what a forward pass changes outside of parameters and buffers stays
    changed. The optimizer's own hooks, and schedulers, do not notice. On several processes, each with the same inputs
    and labels gets the same result; nothing is communicated.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, not wrapped for several processes.
        optimizer: The torch optimizer that trains it, maybe among other parameters, as it stands.
        inputs: What the network takes: a tensor ``(B, ...)``, or whatever it is called with.
        random_labels: ``(B,)`` int64 in ``[0, C)``, drawn uniformly.

    Returns:
        ``()`` loss before less loss after, on the labels' device: mean cross-entropy, in train mode, without autocast
        or a gradient scaler.

    Raises:
        TypeError: ``optimizer`` is no torch optimizer.
        ValueError: ``optimizer`` holds none of the network's parameters.

    Source: Forouzesh, Sedghi, Thiran, "Leveraging Unlabeled Data to Track Memorization", ICLR 2023. As in the authors'
    code both losses are of train mode; that code saves the network to a file and loads it again.

    Example:
        >>> network = nn.Linear(2, 2, bias=False)
        >>> _ = network.weight.data.zero_()
        >>> optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        >>> round(susceptibility(network, optimizer, torch.ones(1, 2), torch.tensor([0])).item(), 4)
        0.5662
        >>> network.weight.data.abs().max().item()
        0.0
    """
    if not isinstance(optimizer, Optimizer):
        found = type(optimizer).__name__
        raise TypeError(f"`optimizer` must be a torch.optim.Optimizer, got {found}: pass the one inside a wrapper")
    steps = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in steps for p in network.parameters()):
        raise ValueError("`optimizer` must hold parameters of `network`, got none: pass the one that trains it")
    with _unnoticed(network, random_labels.device):
        memo: dict[int, Any] = {}
        tensors = copy.deepcopy({**dict(network.named_parameters()), **dict(network.named_buffers())}, memo)
        twin = _twin(optimizer, memo)
        # What was made in inference mode cannot be kept for a backward pass; a copy can.
        random_labels = random_labels.clone()
        inputs = inputs.clone() if isinstance(inputs, Tensor) else inputs

        def loss() -> Tensor:
            logits = functional_call(network, tensors, (inputs,))
            return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), random_labels)

        losses: list[Tensor] = []

        def closure() -> Tensor:
            twin.zero_grad()
            losses.append(loss())
            torch.autograd.backward(losses[-1])
            return losses[-1]

        twin.step(closure)  # type: ignore[arg-type]  # any optimizer takes a closure of a tensor
        with torch.no_grad():
            after = loss()
    return losses[0].detach() - after


def _twin(optimizer: Optimizer, memo: dict[int, Any]) -> Optimizer:
    """An optimizer in the same state over the copies in ``memo``, without hooks or a scheduler's wrapped ``step``."""
    twin: Optimizer = object.__new__(type(optimizer))
    memo[id(optimizer)] = twin
    kept = {k: v for k, v in vars(optimizer).items() if k != "step" and not k.endswith("_hooks")}
    twin.__setstate__(copy.deepcopy(kept, memo))
    return twin


@contextmanager
def _unnoticed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Train mode and gradients, no autocast; generators and modes are put back."""
    modes = [(module, module.training) for module in network.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    devices = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    try:
        with (
            torch.random.fork_rng(devices, device_type=kind),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            network.train()
            yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(python)
        np.random.set_state(numpy)
