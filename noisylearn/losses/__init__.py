"""Losses per sample: pure functions that return ``(B,)`` unreduced values.

Whoever calls them reduces them, so that selection and weights can act on single samples first. They need torch only.

Example:
    >>> import torch
    >>> cross_entropy(torch.zeros(3, 10), torch.tensor([0, 1, 2])).shape
    torch.Size([3])
"""

from noisylearn.losses.cross_entropy import cross_entropy, soft_cross_entropy
from noisylearn.losses.elr import elr, elr_regularizer, elr_target_update

__all__ = ["cross_entropy", "elr", "elr_regularizer", "elr_target_update", "soft_cross_entropy"]
