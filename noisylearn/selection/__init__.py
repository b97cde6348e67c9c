"""Selection: from losses to the samples to learn from, by rank or by a mixture fit, and how much to keep when.

Needs torch only.

Example:
    >>> import torch
    >>> small_loss(torch.tensor([0.3, 2.0]), linear_keep_rate(epoch=20, forget_rate=0.5))
    tensor([ True, False])
"""

from noisylearn.selection.bmm import BetaMixtureFit, fit_bmm
from noisylearn.selection.gmm import GaussianMixtureFit, fit_gmm
from noisylearn.selection.mixture import MixtureFit
from noisylearn.selection.schedules import linear_keep_rate
from noisylearn.selection.small_loss import small_loss

__all__ = [
    "BetaMixtureFit",
    "GaussianMixtureFit",
    "MixtureFit",
    "fit_bmm",
    "fit_gmm",
    "linear_keep_rate",
    "small_loss",
]
