"""Small networks for signals of gradients, slow gradients of one sample, and a guard that nothing was touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.signals import Observation, Signal, SignalSet

CLASSES = 4
AROUND: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "nothing": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}
"""Under what a sweep may run; the signals are the same under each."""


def conv_network(dtype: torch.dtype = torch.float64, channels: int = 3) -> nn.Module:
    """Convolution, batch norm with running statistics of its own, dropout; works in place on what it is given."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = nn.Sequential(
            nn.Hardtanh(-9, 9, inplace=True),
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(24, CLASSES),
        )
        network[2].running_mean.normal_()
        network[2].running_var.uniform_(0.5, 2)
        nn.init.normal_(network[7].weight)
    return network.to(dtype).eval()


def images(
    seed: int, batch: int = 5, side: int = 8, dtype: torch.dtype = torch.float64, channels: int = 3
) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, channels, side, side, generator=g, dtype=torch.float64).to(dtype)
    return x, torch.randint(CLASSES, (batch,), generator=g)


def slow_loss_gradient(network: nn.Module, x: Tensor, target: int) -> Tensor:
    """Of one sample alone, with respect to its input."""
    leaf = x[None].clone().requires_grad_()
    loss = F.cross_entropy(network(leaf.clone()), torch.tensor([target]))
    return torch.autograd.grad(loss, leaf)[0][0]


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Assert that parameters, their gradients and flags, buffers, modes, hooks and torch's generator stay."""
    for i, p in enumerate(network.parameters()):
        if i % 2 == 0:
            p.grad = torch.full_like(p, 0.25)
    next(network.parameters()).requires_grad_(False)

    def state() -> list[object]:
        parameters, buffers = list(network.parameters()), list(network.buffers())
        seen: list[object] = [(id(t), t.detach().clone(), t.requires_grad) for t in parameters + buffers]
        seen += [(id(p.grad), None if p.grad is None else p.grad.clone()) for p in parameters]
        seen += [(m.training, list(m._forward_hooks), list(m._backward_hooks)) for m in network.modules()]
        return [*seen, torch.get_rng_state(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")]

    before = state()
    yield
    torch.testing.assert_close(state(), before, rtol=0, atol=0)


def sweep(signals: SignalSet, network: nn.Module, inputs: Tensor, targets: Tensor, batches: list[Tensor]) -> SignalSet:
    """Observe the rows of each batch as a sweep does."""
    with torch.no_grad():
        for rows in batches:
            x = inputs[rows]
            logits = network(x.clone())
            signals.observe(Observation(rows, logits, targets[rows], inputs=x, network=network))
    return signals


def one_sweep(signal: Signal, network: nn.Module, inputs: Tensor, targets: Tensor, size: int, order: Tensor) -> Tensor:
    """The signal's first score after one sweep over rows in some order, in batches of some size."""
    signals = SignalSet([signal], len(inputs))
    sweep(signals, network, inputs, targets, list(order.split(size))).commit(0)
    return signals.compute()[signal.scores[0].name]
