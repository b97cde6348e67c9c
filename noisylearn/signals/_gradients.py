"""Gradients of single samples, taken beside a training run that must not notice them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.signals.observation import Observation

PerSample: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``(B, C)`` logits and ``(B,)`` targets to ``(B,)`` values."""


def sample_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``(B,)`` plain cross-entropy, in float32 where the logits are narrower."""
    return F.cross_entropy(wide(logits), targets, reduction="none")


def wide(x: Tensor) -> Tensor:
    """Return float32, or float64 where it is that."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def network_and_inputs(obs: Observation) -> tuple[nn.Module, Tensor]:
    """Return both, which `SignalSet` has checked to be there."""
    assert obs.network is not None
    assert obs.inputs is not None
    return obs.network, obs.inputs


@contextmanager
def differentiable(network: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Yield a copy of the inputs, at least float32, with gradients on and autocast and inference mode off.

    Args:
        network: The module that will be differentiated, in eval mode.
        inputs: ``(B, ...)`` floating point.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: The network is in train mode.
    """
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        found = str(inputs.dtype) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise TypeError(
            f"`inputs` must be one floating point tensor, got {found}: "
            "signals of gradients need inputs such as images, or embeddings in place of token ids"
        )
    if network.training:
        raise ValueError(
            "`network` must be in eval mode, got train mode: batch norm would mix the samples, call network.eval()"
        )
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(inputs.device.type, enabled=False):
        yield wide(inputs.detach().clone())


def input_gradient(network: nn.Module, inputs: Tensor, targets: Tensor, of: PerSample = sample_loss) -> Tensor:
    """Return the gradient of each sample's own value with respect to its input.

    In eval mode no sample's value depends on another's input, so that the gradient of the sum is exact for each. The
    network's parameters, their ``.grad`` and its buffers are not touched.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, in eval mode.
        inputs: ``(B, ...)`` floating point.
        targets: ``(B,)`` int64 labels in ``[0, C)``.
        of: What is differentiated.

    Returns:
        ``(B, ...)`` gradients, float32, or float64 where the inputs are.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: The network is in train mode.

    Example:
        >>> network = nn.Linear(2, 2, bias=False).eval()
        >>> input_gradient(network, torch.zeros(3, 2), torch.tensor([0, 1, 0])).shape
        torch.Size([3, 2])
    """
    with differentiable(network, inputs) as x:
        x.requires_grad_()
        # The network gets a copy: its first layer may work in place, which a leaf does not allow.
        values = of(network(x.clone()), targets)
        (gradient,) = torch.autograd.grad(values.sum(), x)
    return gradient


def row_norms(x: Tensor) -> Tensor:
    """Return the ``(B,)`` Euclidean norms of the rows of ``(B, ...)``."""
    norms: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norms
