"""Selection: from losses to a mask of the samples to learn from, and how much to keep when; torch only.

Example:
    >>> import torch
    >>> small_loss(torch.tensor([0.3, 2.0]), linear_keep_rate(epoch=20, forget_rate=0.5))
    tensor([ True, False])
"""

from noisylearn.selection.schedules import linear_keep_rate
from noisylearn.selection.small_loss import small_loss

__all__ = ["linear_keep_rate", "small_loss"]
