"""Cross-entropy per sample, against class ids or against a distribution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32, check_class_ids, check_rows

_IGNORE_NOTHING = torch.iinfo(torch.int64).min


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the negative log-probability of the given label, one value per sample.

    It differs from `torch.nn.functional.cross_entropy` in three ways: it is never reduced, it is computed in float32
    also under autocast (small-loss methods rank these values, and bfloat16 ties change the selection), and no label
    is ignored: a stray -100 is an error like any other label out of range, not a loss of 0.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given (possibly wrong) labels.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 for float64 logits.

    Raises:
        TypeError: The logits are not floating point or the targets not integers.
        ValueError: The shapes do not fit.

    Example:
        >>> cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 1]))
        tensor([0.6931, 0.3133])
    """
    check_class_ids(logits, targets)
    wide = at_least_float32(logits)
    return F.cross_entropy(wide, targets.long(), reduction="none", ignore_index=_IGNORE_NOTHING)


def soft_cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """Return ``-sum_c probs_c log softmax(logits)_c``, one value per sample.

    The gradient reaches ``probs`` too; detach them where they are constants. Rows need not sum to 1 (a row of sum
    ``s`` weighs its sample by ``s``).

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        probs: ``(B, C)`` floating point, the soft targets.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 where an argument is float64.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ.

    Example:
        >>> soft_cross_entropy(torch.zeros(1, 4), torch.tensor([[0.7, 0.1, 0.1, 0.1]]))
        tensor([1.3863])
    """
    check_rows("probs", logits, probs)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return -(at_least_float32(probs) * log_p).sum(dim=-1)
