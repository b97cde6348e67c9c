"""Selection: from losses to the samples to learn from, by rank, a mixture fit or disagreement, and how much when.

Needs torch only.

Example:
    >>> import torch
    >>> small_loss(torch.tensor([0.3, 2.0]), linear_keep_rate(epoch=20, forget_rate=0.5))
    tensor([ True, False])
"""

from noisylearn.selection.bmm import BetaMixtureFit, fit_bmm
from noisylearn.selection.co_divide import clean_probability, labelled, min_max_normalized
from noisylearn.selection.confidence import confident_weights
from noisylearn.selection.critical_weights import critical_weights
from noisylearn.selection.disagreement import disagreement, small_loss_among
from noisylearn.selection.disc import disc_groups
from noisylearn.selection.gmm import GaussianMixtureFit, fit_gmm
from noisylearn.selection.mixture import MixtureFit
from noisylearn.selection.pseudo_labels import co_guess, co_refine, mean_probs, sharpen
from noisylearn.selection.schedules import linear_keep_rate, linear_ramp, sigmoid_ramp
from noisylearn.selection.self_filtering import label_confidence, self_filtering_score
from noisylearn.selection.self_paced import self_paced_threshold
from noisylearn.selection.small_loss import small_loss
from noisylearn.selection.unicon import label_divergence, uniform_selection

__all__ = [
    "BetaMixtureFit",
    "GaussianMixtureFit",
    "MixtureFit",
    "clean_probability",
    "co_guess",
    "co_refine",
    "confident_weights",
    "critical_weights",
    "disagreement",
    "disc_groups",
    "fit_bmm",
    "fit_gmm",
    "label_confidence",
    "label_divergence",
    "labelled",
    "linear_keep_rate",
    "linear_ramp",
    "mean_probs",
    "min_max_normalized",
    "self_filtering_score",
    "self_paced_threshold",
    "sharpen",
    "sigmoid_ramp",
    "small_loss",
    "small_loss_among",
    "uniform_selection",
]
