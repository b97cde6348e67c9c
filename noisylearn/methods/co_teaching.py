"""Co-teaching: two networks choose samples for each other."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisylearn.methods.small_loss import KeepRate
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.selection import small_loss


class CoTeaching(TwoNetworks, KeepRate):
    """Co-teaching: each network learns from the samples whose loss is smallest for the other.

    Source: Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels", NeurIPS
    2018. The reference divides the mean by the number kept once more; that is harmless under Adam but scales SGD's
    rate down a hundredfold, so it is off here (``legacy_scale``). Epochs count from 0 (the reference trains from 1).

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        forget_rate: The fraction of each batch left out in the end; by default ``noise_rate``.
        warmup_epochs: Epochs over which the fraction left out grows from 0.
        exponent: The growth's exponent ``c``.
        legacy_scale: Divide each network's mean loss by the number kept, as the reference code does.
        **learner: Arguments of `NoisyLearner`.

    Example:
        >>> method = CoTeaching(noise_rate=0.4, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> len(method.networks)
        2
    """

    paper = "Han et al., Co-teaching, 2018"

    def __init__(
        self,
        noise_rate: float | None = None,
        forget_rate: float | None = None,
        warmup_epochs: int = 10,
        exponent: float = 1.0,
        legacy_scale: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(noise_rate, forget_rate, warmup_epochs, exponent, **learner)
        self.save_hyperparameters("legacy_scale")
        self.legacy_scale = legacy_scale

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return, for each network, the mask that its peer's smallest losses make."""
        return small_loss(losses, self.keep_rate).flip(0)

    def reduce(self, losses: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
        """Return the sum of the two means."""
        loss = super().reduce(losses, index, selected)
        if self.legacy_scale and selected is not None:
            loss = loss / selected[0].sum().clamp_min(1)  # both networks keep as many
        return loss
