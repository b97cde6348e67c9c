"""Cross-entropy: the baseline that memorizes."""

from __future__ import annotations

from torch import Tensor

from noisylearn.losses import cross_entropy
from noisylearn.methods.learner import NoisyLearner


class CrossEntropy(NoisyLearner):
    """Plain cross-entropy on the given labels. The gap between best and last accuracy is the memorization.

    Example:
        >>> CrossEntropy("digits_cnn", num_classes=10, in_channels=1).paper
        'the baseline'
    """

    paper = "the baseline"

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)
