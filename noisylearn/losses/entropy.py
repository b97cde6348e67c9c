"""The entropy of a prediction, which a penalty on confidence raises."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32, check_logits


def entropy(logits: Tensor) -> Tensor:
    """Return ``-sum_c p_c log p_c``, one value per sample.

    Subtracted from cross-entropy it is a confidence penalty (Pereyra et al., 2017). DivideMix warms up with it where
    noise is asymmetric: a network that is sure of the wrong labels too has no losses to tell them by.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.

    Returns:
        ``(B,)`` entropies in nats, in ``[0, log C]``, float32, or float64 for float64 logits.

    Raises:
        TypeError: The logits are not floating point.
        ValueError: They are not ``(B, C)``.

    Example:
        >>> import torch
        >>> entropy(torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
        tensor([0.6931, 0.1909])
    """
    check_logits(logits)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)
