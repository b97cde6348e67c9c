"""Small-loss selection with one network."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisylearn.losses import cross_entropy
from noisylearn.methods.learner import NoisyLearner
from noisylearn.selection import linear_keep_rate, small_loss


class KeepRate(NoisyLearner):
    """Base of the methods that learn from a growing exclusion of large losses.

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        forget_rate: The fraction of each batch left out in the end; by default ``noise_rate``.
        warmup_epochs: Epochs over which the fraction left out grows from 0.
        exponent: The growth's exponent ``c``.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: Neither ``noise_rate`` nor ``forget_rate`` is given, or one is outside [0, 1].
    """

    def __init__(
        self,
        noise_rate: float | None = None,
        forget_rate: float | None = None,
        warmup_epochs: int = 10,
        exponent: float = 1.0,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("noise_rate", "forget_rate", "warmup_epochs", "exponent")
        rate = noise_rate if forget_rate is None else forget_rate
        if rate is None:
            raise ValueError("`noise_rate` is needed to know how much to leave out: pass it, or `forget_rate`")
        self.forget_rate, self.warmup_epochs, self.exponent = rate, warmup_epochs, exponent
        linear_keep_rate(0, rate, warmup_epochs, exponent)  # checks the arguments now, not in the first step

    @property
    def keep_rate(self) -> float:
        """The fraction of a batch kept in the current epoch."""
        return linear_keep_rate(self.current_epoch, self.forget_rate, self.warmup_epochs, self.exponent)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return cross-entropy, of the shape of the logits without their last dimension."""
        targets = target.expand(logits.shape[:-1])
        return cross_entropy(logits.flatten(0, -2), targets.flatten()).view(targets.shape)


class SmallLoss(KeepRate):
    """Learns from the samples of smallest loss in each batch, a fraction that shrinks to ``1 - noise_rate``.

    Source: the selection of Co-teaching (Han et al., NeurIPS 2018) with one network, which then confirms its own
    mistakes: the baseline that Co-teaching's exchange improves on.

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        forget_rate: The fraction of each batch left out in the end; by default ``noise_rate``.
        warmup_epochs: Epochs over which the fraction left out grows from 0.
        exponent: The growth's exponent ``c``.
        **learner: Arguments of `NoisyLearner`.

    Example:
        >>> method = SmallLoss(noise_rate=0.4, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> method.keep_rate
        1.0
    """

    paper = "Han et al., Co-teaching (one network), 2018"

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return the mask of the smallest losses."""
        return small_loss(losses, self.keep_rate)
