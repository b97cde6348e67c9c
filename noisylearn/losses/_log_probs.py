"""Log-probabilities of every class and the loss of the given one, from one pass over the logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32, check_class_ids
from noisylearn.losses.cross_entropy import _IGNORE_NOTHING


def nll(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Return ``-log_probs[i, targets[i]]``; a label out of range is an error, as in `cross_entropy`."""
    return F.nll_loss(log_probs, targets.long(), reduction="none", ignore_index=_IGNORE_NOTHING)


def log_softmax_and_nll(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ``(B, C)`` log-softmax, at least float32, and the ``(B,)`` cross-entropy.

    Raises:
        TypeError: The logits are not floating point or the targets not integers.
        ValueError: The shapes do not fit.
    """
    check_class_ids(logits, targets)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return log_p, nll(log_p, targets)
