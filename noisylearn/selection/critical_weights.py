"""Which weights of a network matter most to a loss (CDR; Xia et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noisylearn._checks import check_probability


def critical_weights(weights: Sequence[Tensor], gradients: Sequence[Tensor], keep_rate: float) -> list[Tensor]:
    """Return the masks of the ``int(keep_rate * P)`` of all ``P`` weights with the largest ``|gradient * weight|``.

    That product is, to first order, what the loss would change by without the weight. All tensors are ranked together;
    weights that tie with the last one kept are kept too. The ranking is made in float32 (float64 stays so). Stays on
    the device; nothing waits.

    Source: Xia et al., "Robust Early-learning: Hindering the Memorization of Noisy Labels", ICLR 2021, whose code ranks
    the weights of convolutions and linear layers.

    Args:
        weights: Tensors of any shapes.
        gradients: Of each one, the gradient of the loss, of the same shape.
        keep_rate: Share to keep, in ``[0, 1]``.

    Returns:
        One bool mask for each of the weights, of its shape.

    Raises:
        TypeError: ``keep_rate`` is not a number.
        ValueError: There are no weights, the shapes do not fit, or ``keep_rate`` is outside ``[0, 1]``.

    Example:
        >>> weights = [torch.tensor([[3.0, -1.0]]), torch.tensor([0.1, 2.0])]
        >>> gradients = [torch.tensor([[1.0, 0.5]]), torch.tensor([9.0, 0.0])]
        >>> critical_weights(weights, gradients, keep_rate=0.5)
        [tensor([[ True, False]]), tensor([ True, False])]
    """
    keep_rate = check_probability("keep_rate", keep_rate, "pass the share of weights to keep, e.g. 0.6")
    if not weights:
        raise ValueError("`weights` must hold at least one tensor, got none: pass the layers to choose from")
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (weights, gradients)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"`gradients` must have the shapes of `weights`, {shapes[0]}, got {shapes[1]}")
    importance = [_wide(g) * _wide(w) for w, g in zip(weights, gradients, strict=True)]
    ranked = torch.cat([part.abs().flatten() for part in importance])
    count = int(keep_rate * len(ranked))
    if count == 0:
        return [torch.zeros_like(weight, dtype=torch.bool) for weight in weights]
    threshold = ranked.topk(count, sorted=False).values.amin()
    return [part.abs() >= threshold for part in importance]


def _wide(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
