"""The losses of SOP and SOP+ (Liu et al., ICML 2022): what is wrong with a label is learned beside the network.

Each sample has a number ``u`` and a row ``v``. ``u^2`` stands for what its given label has too much, ``v^2`` for what
the other classes have too little. They start at next to nothing and grow only where the network keeps disagreeing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32, check_class_ids, check_rows
from noisylearn.losses._log_probs import nll

_FLOOR = 1e-4
"""The authors' least probability."""


def sop(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return cross-entropy plus the squared error of what the network and the noise make of a label, per sample.

    With ``U = u^2`` at the given label ``y`` and ``V = v^2`` elsewhere, both at most 1:
    ``-log p'_y + sum_c (onehot(argmax p) + U - V - onehot(y))_c^2``, where ``p'`` is ``p + U - V``, clamped to at least
    1e-4, normalized and clamped again. The first term has a gradient to the network and to ``u``, the second to ``u``
    and ``v``; ``V`` in the first and the prediction in the second are constants.

    Source: Liu et al., "Robust Training under Label Noise by Over-parameterization", ICML 2022.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        u: ``(B,)`` floating point, the rows of the batch's samples.
        v: ``(B, C)`` floating point, likewise.

    Returns:
        ``(B,)`` losses, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> import torch
        >>> logits, label = torch.tensor([[4.0, 0.0]]), torch.tensor([1])
        >>> sop(logits, label, torch.tensor([0.0]), torch.zeros(1, 2))
        tensor([6.0181])
        >>> sop(logits, label, torch.tensor([1.0]), torch.tensor([[1.0, 0.0]]))  # the noise explains the label
        tensor([9.8233e-05])
    """
    check_rows("v", logits, v)
    fitted, given, too_much, too_little = _fitted(logits, targets, u, v)
    predicted = logits.detach().argmax(dim=-1, keepdim=True) == torch.arange(logits.shape[1], device=logits.device)
    error = predicted.to(fitted.dtype) + too_much - too_little - given.to(fitted.dtype)
    return nll(fitted.log(), targets) + error.square().sum(dim=-1)


def sop_balance(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return SOP+'s term for balanced classes, ``-sum_c 1/C log mean_i p'_ic``, of `sop`'s ``p'``.

    A value of the batch, not of a sample. It is ``log C``, its least, where all classes are predicted alike often. The
    mean is kept at or above 1e-4. The gradient reaches the network and ``u``.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        u: ``(B,)`` floating point, the rows of the batch's samples.
        v: ``(B, C)`` floating point, likewise.

    Returns:
        A scalar, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> import torch
        >>> logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
        >>> sop_balance(logits, labels, torch.zeros(2), torch.zeros(2, 2))
        tensor(0.6931)
    """
    check_rows("v", logits, v)
    fitted, *_ = _fitted(logits, targets, u, v)
    return -fitted.mean(dim=0).clamp(min=_FLOOR).log().mean()


def _fitted(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``p'``, the mask of the given labels, ``U`` and ``V``."""
    check_class_ids(logits, targets)
    if not u.is_floating_point():
        raise TypeError(f"`u` must be floating point, got {u.dtype}: pass one number per sample")
    if u.shape != targets.shape:
        found = f"got {tuple(u.shape)} for targets of shape {tuple(targets.shape)}"
        raise ValueError(f"`u` must be (B,), {found}: pass one number per sample")
    given = targets.long().unsqueeze(-1) == torch.arange(logits.shape[1], device=logits.device)
    too_much = at_least_float32(u).square().clamp(max=1).unsqueeze(-1) * given
    too_little = at_least_float32(v).square().clamp(max=1) * ~given
    shifted = (torch.softmax(at_least_float32(logits), dim=-1) + too_much - too_little.detach()).clamp(min=_FLOOR)
    return (shifted / shifted.sum(dim=-1, keepdim=True)).clamp(min=_FLOOR), given, too_much, too_little
